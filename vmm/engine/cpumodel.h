/* SPDX-License-Identifier: Apache-2.0 */
/* Joins a CPU model's name with what the engine and this host can do. */
#ifndef VMM_ENGINE_CPUMODEL_H
#define VMM_ENGINE_CPUMODEL_H

#include "vmm/engine/engine.h"

/*
 * Makes the model called `name` ("baseline", "v3", "v4", "host"; NULL: baseline) for a guest under
 * `ops` on this host, TSC frequency and XSAVE layout included. -EINVAL: no such model;
 * -ENOTSUP: this host lacks one of its features, which the sentence names.
 */
int cpu_model_select(const char *name, const struct engine_ops *ops, struct cpu_model *m,
		     struct err *e);

/* Features that an engine provides by itself, whatever the host's CPUID says. */
void cpu_features_provided(bool has[X86_NFEATURES]);

/* Features that the host's own CPUID tells, plus the provided ones. */
void cpu_features_of_host(bool has[X86_NFEATURES]);

/* The features of `m` that are not in `has`: the first one, or X86_FEAT_NONE. */
enum x86_feature cpu_model_missing(const struct cpu_model *m, const bool has[X86_NFEATURES]);

#endif
