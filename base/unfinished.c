/* SPDX-License-Identifier: Apache-2.0 */
#include "base/unfinished.h"

#include <signal.h>
#include <stddef.h>
#include <unistd.h>

static const int signals[] = {SIGINT, SIGTERM, SIGHUP};

#define NSIGNALS (sizeof(signals) / sizeof(signals[0]))

/* Handlers belong to the process. */
static const char *volatile unfinished;
static struct sigaction before[NSIGNALS];

/* SA_RESETHAND has put the default back: the signal ends the process when this returns. */
static void take_along(int sig)
{
	if (unfinished)
		unlink(unfinished);
	raise(sig);
}

void unfinished_begin(const char *path)
{
	struct sigaction a = {.sa_handler = take_along, .sa_flags = SA_RESETHAND};

	unfinished = path;
	sigemptyset(&a.sa_mask);
	for (size_t i = 0; i < NSIGNALS; i++) {
		sigaction(signals[i], NULL, &before[i]);
		if (before[i].sa_handler == SIG_DFL)
			sigaction(signals[i], &a, NULL);
	}
}

void unfinished_end(void)
{
	for (size_t i = 0; i < NSIGNALS; i++)
		sigaction(signals[i], &before[i], NULL);
	unfinished = NULL;
}
