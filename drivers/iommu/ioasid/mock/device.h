/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Model devices: the interface for the control node.
 */
#ifndef IOASID_MOCK_DEVICE_H
#define IOASID_MOCK_DEVICE_H

/* Names of platform devices, one for each kind */
#define MODEL_DEVICE	"ioasid_model"
#define MODEL_EMULATED	"ioasid_mock"
#define MODEL_SHARED	"ioasid_shared"
#define MODEL_ACCEL	"ioasid_accel"

struct file;
struct model_dev;

/* Number of emulated devices that always exist, from number 0 on */
#define MODEL_EMULATED_FIXED	2

int model_devices_init(void);
void model_devices_exit(void);

int model_mediated_init(void);
void model_mediated_exit(void);
struct file *model_mediate(struct model_dev *mdev, bool common);

int model_accel_init(void);
void model_accel_exit(void);
int model_accel_job(struct model_dev *mdev, u64 seed, u32 length, u64 *sum);

int model_emulated_init(void);
void model_emulated_exit(void);

#endif
