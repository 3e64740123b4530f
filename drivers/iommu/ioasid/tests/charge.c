// SPDX-License-Identifier: GPL-2.0-only
/*
 * Tests of the charges of an mm: the ledger of pages that are charged once,
 * compared with a count for each page, and the end of the mm.
 *
 * The page frames need not exist: a ledger does not access memory.
 */
#include <kunit/test.h>
#include <linux/cred.h>
#include <linux/err.h>
#include <linux/file.h>
#include <linux/iopoll.h>
#include <linux/kthread.h>
#include <linux/mm.h>
#include <linux/overflow.h>
#include <linux/sched/mm.h>
#include <linux/sched/user.h>

#include "util.h"

#define FRAMES		4096
#define FIRST_FRAME	BIT(30)
#define PIECES		64

struct model {
	struct mm_struct *mm;
	struct ioasid_account account;
	unsigned int count[FRAMES];
	unsigned long charged;
};

/* An mm without memory, used by the thread that runs the test */
static struct model *model_init(struct kunit *test, unsigned int charge)
{
	struct model *model = kunit_kzalloc(test, sizeof(*model), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, model);
	KUNIT_ASSERT_NULL(test, current->mm);
	model->mm = mm_alloc();
	KUNIT_ASSERT_NOT_NULL(test, model->mm);
	kthread_use_mm(model->mm);
	ioasid_account_init(&model->account);
	KUNIT_ASSERT_EQ(test,
			ioasid_account_set_charge(&model->account, charge), 0);
	return model;
}

static bool is_charged(struct mm_struct *mm)
{
	bool charged;

	/* Both sides of a charge that moves to the user change under the lock */
	mmap_read_lock(mm);
	charged = mm->locked_vm;
	mmap_read_unlock(mm);
	return charged;
}

/* Do as exit() does, then as a task that has closed its files */
static void model_end_mm(struct kunit *test, struct model *model)
{
	struct mm_struct *mm = model->mm;
	bool charged;
	int ret;

	mmgrab(mm);
	kthread_unuse_mm(mm);
	mmput(mm);
	/* A work on another CPU may have taken the file from the list already */
	flush_delayed_fput();
	ret = read_poll_timeout(is_charged, charged, !charged, 1000,
				60 * USEC_PER_SEC, false, mm);
	KUNIT_EXPECT_EQ(test, ret, 0);
	mmdrop(mm);
}

static void piece_runs(struct ioasid_runs *runs, u64 *ext, unsigned long frame,
		       unsigned long npages)
{
	*ext = ((u64)(FIRST_FRAME + frame) << IOASID_EXTENT_COUNT_BITS) |
	       (npages - 1);
	runs->ext = ext;
	runs->skip = 0;
	runs->left = npages;
}

static void model_count(struct model *model, unsigned long frame,
			unsigned long npages, int delta)
{
	for (; npages--; frame++) {
		model->charged -= !!model->count[frame];
		model->count[frame] += delta;
		model->charged += !!model->count[frame];
	}
}

static void piece_uncharge(struct model *model, struct ioasid_payer *payer,
			   unsigned long frame, unsigned long npages)
{
	struct ioasid_runs runs;
	u64 ext;

	piece_runs(&runs, &ext, frame, npages);
	ioasid_uncharge_runs(payer, runs);
	ioasid_uncharge(&model->account, payer, npages);
	model_count(model, frame, npages, -1);
}

static struct ioasid_payer *piece_charge(struct kunit *test,
					 struct model *model,
					 unsigned long frame,
					 unsigned long npages)
{
	struct ioasid_payer *payer;
	struct ioasid_runs runs;
	u64 ext;

	payer = ioasid_charge(&model->account, NULL, npages);
	KUNIT_ASSERT_FALSE(test, IS_ERR(payer));
	piece_runs(&runs, &ext, frame, npages);
	KUNIT_ASSERT_EQ(test, ioasid_charge_runs(payer, runs, false), 0);
	model_count(model, frame, npages, 1);
	return payer;
}

/* Add, cut and remove pieces; the charge is right after each step */
static void random_pieces(struct kunit *test)
{
	struct model *model = model_init(test, IOASID_CHARGE_ONCE);
	struct ioasid_payer *payer[PIECES] = {};
	unsigned long frame[PIECES], npages[PIECES], n;
	unsigned int step, i, j;
	struct rnd_state rnd;

	random_seed(test, &rnd);
	for (step = 0; step < 20000; step++) {
		i = random_below(&rnd, PIECES);
		j = random_below(&rnd, PIECES);
		if (!payer[i]) {
			frame[i] = random_below(&rnd, FRAMES);
			npages[i] = random_length(&rnd, FRAMES - frame[i]);
			payer[i] = piece_charge(test, model, frame[i],
						npages[i]);
		} else if (!payer[j] && npages[i] > 1) {
			n = 1 + random_below(&rnd, npages[i] - 1);
			ioasid_charge_cut(payer[i], true);
			payer[j] = payer[i];
			frame[j] = frame[i] + n;
			npages[j] = npages[i] - n;
			npages[i] = n;
		} else {
			piece_uncharge(model, payer[i], frame[i], npages[i]);
			payer[i] = NULL;
		}
		KUNIT_ASSERT_EQ(test, model->mm->locked_vm, model->charged);
	}
	for (i = 0; i < PIECES; i++)
		if (payer[i])
			piece_uncharge(model, payer[i], frame[i], npages[i]);
	KUNIT_EXPECT_EQ(test, model->charged, 0);
	KUNIT_EXPECT_EQ(test, model->mm->locked_vm, 0);
	KUNIT_EXPECT_EQ(test, ioasid_account_charged(&model->account), 0);
	ioasid_account_exit(&model->account);
	model_end_mm(test, model);
}

/* The longest run, over many pieces: each step counts one page */
static void one_over_many(struct kunit *test)
{
	struct model *model = model_init(test, IOASID_CHARGE_ONCE);
	struct ioasid_payer **payer, *all;
	unsigned int i, round;

	payer = kunit_kcalloc(test, FRAMES, sizeof(*payer), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, payer);
	for (round = 0; round < 2; round++) {
		for (i = round; i < FRAMES; i += 2)
			payer[i] = piece_charge(test, model, i, 1);
		all = piece_charge(test, model, 0, FRAMES);
		KUNIT_EXPECT_EQ(test, model->mm->locked_vm, FRAMES);
		if (round)
			piece_uncharge(model, all, 0, FRAMES);
		for (i = round; i < FRAMES; i += 2) {
			piece_uncharge(model, payer[i], i, 1);
			KUNIT_ASSERT_EQ(test, model->mm->locked_vm,
					model->charged);
		}
		if (!round)
			piece_uncharge(model, all, 0, FRAMES);
		KUNIT_EXPECT_EQ(test, model->mm->locked_vm, 0);
	}
	ioasid_account_exit(&model->account);
	model_end_mm(test, model);
}

/* At the end of the mm its charge moves to the user */
static void mm_ends(struct kunit *test)
{
	atomic_long_t *locked = &current_user()->locked_vm;
	long before = atomic_long_read(locked);
	struct ioasid_payer *a, *b, *c;
	struct model *model;

	model = model_init(test, IOASID_CHARGE_ONCE);
	mmgrab(model->mm);
	a = piece_charge(test, model, 0, 100);
	b = piece_charge(test, model, 50, 100);
	c = piece_charge(test, model, 200, 10);
	piece_uncharge(model, c, 200, 10);
	KUNIT_EXPECT_EQ(test, model->mm->locked_vm, 150);
	KUNIT_EXPECT_EQ(test, atomic_long_read(locked), before);
	model_end_mm(test, model);
	KUNIT_EXPECT_EQ(test, model->mm->locked_vm, 0);
	KUNIT_EXPECT_EQ(test, atomic_long_read(locked), before + 150);
	ioasid_charge_cut(a, true);
	piece_uncharge(model, a, 0, 60);
	KUNIT_EXPECT_EQ(test, atomic_long_read(locked), before + 100);
	piece_uncharge(model, b, 50, 100);
	KUNIT_EXPECT_EQ(test, atomic_long_read(locked), before + 40);
	piece_uncharge(model, a, 60, 40);
	KUNIT_EXPECT_EQ(test, atomic_long_read(locked), before);
	mmdrop(model->mm);
	ioasid_account_exit(&model->account);

	/* Charges of single mappings, and of more than one mm */
	model = model_init(test, IOASID_CHARGE_MM);
	a = ioasid_charge(&model->account, NULL, 7);
	KUNIT_ASSERT_FALSE(test, IS_ERR(a));
	model_end_mm(test, model);
	KUNIT_EXPECT_EQ(test, atomic_long_read(locked), before + 7);
	model->mm = mm_alloc();
	KUNIT_ASSERT_NOT_NULL(test, model->mm);
	kthread_use_mm(model->mm);
	b = ioasid_charge(&model->account, NULL, 5);
	KUNIT_ASSERT_FALSE(test, IS_ERR(b));
	KUNIT_EXPECT_EQ(test, model->mm->locked_vm, 5);
	ioasid_uncharge(&model->account, a, 7);
	KUNIT_EXPECT_EQ(test, atomic_long_read(locked), before);
	model_end_mm(test, model);
	KUNIT_EXPECT_EQ(test, atomic_long_read(locked), before + 5);
	ioasid_uncharge(&model->account, b, 5);
	KUNIT_EXPECT_EQ(test, atomic_long_read(locked), before);
	ioasid_account_exit(&model->account);
}

static struct kunit_case cases[] = {
	KUNIT_CASE_SLOW(random_pieces),
	KUNIT_CASE_SLOW(one_over_many),
	KUNIT_CASE(mm_ends),
	{}
};

static struct kunit_suite suite = {
	.name = "ioasid_charge",
	.test_cases = cases,
};

kunit_test_suite(suite);
