/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Model devices, for the control node that makes them.
 */
#ifndef IOASID_MOCK_DEVICE_H
#define IOASID_MOCK_DEVICE_H

/* Names of platform devices, by kind */
#define MODEL_DEVICE	"ioasid_model"
#define MODEL_EMULATED	"ioasid_mock"

/* Emulated devices that are always there, from number 0 on */
#define MODEL_EMULATED_FIXED	2

int model_devices_init(void);
void model_devices_exit(void);

int model_emulated_init(void);
void model_emulated_exit(void);

#endif
