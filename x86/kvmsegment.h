/* SPDX-License-Identifier: Apache-2.0 */
/* Segment registers between our form and that of KVM's ioctls (struct kvm_segment of linux/kvm.h).
 */
#ifndef X86_KVMSEGMENT_H
#define X86_KVMSEGMENT_H

#include <linux/kvm.h>

#include "x86/state.h"

/* Bits past a field's width are dropped. */
static inline struct x86_segment segment_from_kvm(const struct kvm_segment *k)
{
	return (struct x86_segment){
		.base = k->base,
		.limit = k->limit,
		.selector = k->selector,
		.attr = (k->type & 15u) | (k->s & 1u) << 4 | (k->dpl & 3u) << 5 |
			(k->present & 1u) << 7 | (k->avl & 1u) << 12 | (k->l & 1u) << 13 |
			(k->db & 1u) << 14 | (k->g & 1u) << 15 | (k->unusable & 1u) << 16,
	};
}

static inline struct kvm_segment segment_to_kvm(const struct x86_segment *s)
{
	return (struct kvm_segment){
		.base = s->base,
		.limit = s->limit,
		.selector = s->selector,
		.type = X86_ATTR_TYPE(s->attr),
		.s = !!(s->attr & X86_ATTR_S),
		.dpl = X86_ATTR_DPL(s->attr),
		.present = !!(s->attr & X86_ATTR_P),
		.avl = s->attr >> 12 & 1,
		.l = !!(s->attr & X86_ATTR_L),
		.db = !!(s->attr & X86_ATTR_DB),
		.g = !!(s->attr & X86_ATTR_G),
		.unusable = !!(s->attr & X86_ATTR_UNUSABLE),
	};
}

#endif
