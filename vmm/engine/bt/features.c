/* SPDX-License-Identifier: Apache-2.0 */
/* Which of the host's CPU features a guest can have under translation. */
#include "vmm/engine/bt/vm.h"

/* Virtual-8086 extensions, machine checks, supervisor state and nested guests are not there. */
static const enum x86_feature lacking[] = {
	X86_FEAT_VME, X86_FEAT_MCE, X86_FEAT_MCA, X86_FEAT_XSAVES, X86_FEAT_SVM,
};

int bt_cpu_features(bool has[X86_NFEATURES], struct err *e)
{
	(void)e;
	for (unsigned i = 0; i < sizeof(lacking) / sizeof(lacking[0]); i++)
		has[lacking[i]] = false;
	return 0;
}
