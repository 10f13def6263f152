/* SPDX-License-Identifier: Apache-2.0 */
/* The bar that people see while they wait. */
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cli/cli.h"

#define WIDTH     30
#define REDRAW_MS 100

static int64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

void cli_progress(void *opaque, const char *what, uint64_t done, uint64_t total)
{
	static const char full[] = "##############################";
	struct cli_progress *p = opaque;
	int64_t now = now_ms();
	int bar;

	if (!total || !isatty(STDERR_FILENO) || (now - p->last_ms < REDRAW_MS && done < total))
		return;
	p->last_ms = now;
	p->shown = true;
	bar = (int)((double)done / (double)total * WIDTH);
	fprintf(stderr, "\r%-8s [%.*s%*s] %3d %%", what, bar, full, WIDTH - bar, "",
		(int)((double)done / (double)total * 100));
}

void cli_progress_end(struct cli_progress *p)
{
	if (p->shown)
		fprintf(stderr, "\r%*s\r", WIDTH + 20, "");
}
