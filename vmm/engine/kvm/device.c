/* SPDX-License-Identifier: Apache-2.0 */
/* /dev/kvm itself: opening it, and what it must be able to do. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/metal.h"
#include "vmm/engine/kvm/kvm.h"

int kvm_ioctl(int fd, unsigned long request, void *arg)
{
	int rc;

	do
		rc = ioctl(fd, request, arg);
	while (rc < 0 && errno == EINTR);
	return rc < 0 ? -errno : rc;
}

int kvm_ioctl_val(int fd, unsigned long request, unsigned long arg)
{
	return kvm_ioctl(fd, request, (void *)arg);
}

static const char *open_remedy(int code)
{
	switch (code) {
	case ENOENT:
		if (on_bare_metal())
			return "the processor has neither VT-x with EPT nor AMD-V with nested "
			       "paging";
		return "load the module with `modprobe kvm_amd` or `modprobe kvm_intel`";
	case ENODEV:
	case ENXIO:
		return "the kvm module is loaded but found no hardware virtualization";
	case EACCES:
	case EPERM:
		return "add this user to the group kvm, then log in again";
	case EBUSY:
		return "another hypervisor uses the processor's virtualization; end it first";
	default:
		return "see `baton check`";
	}
}

int kvm_open(struct err *e)
{
	int fd = open("/dev/kvm", O_RDWR | O_CLOEXEC), version;

	if (fd < 0) {
		int code = errno;

		return err_set(e, -code, "/dev/kvm: %s; %s", strerror(code), open_remedy(code));
	}
	version = kvm_ioctl_val(fd, KVM_GET_API_VERSION, 0);
	if (version == KVM_API_VERSION)
		return fd;
	close(fd);
	return err_set(e, -ENOTSUP, "/dev/kvm has API version %d, not %d: this kernel is too old",
		       version, KVM_API_VERSION);
}

static const struct {
	int cap;
	const char *name;
} required[] = {
	{KVM_CAP_IRQCHIP, "KVM_CAP_IRQCHIP"},
	{KVM_CAP_PIT2, "KVM_CAP_PIT2"},
	{KVM_CAP_IRQ_ROUTING, "KVM_CAP_IRQ_ROUTING"},
	{KVM_CAP_SIGNAL_MSI, "KVM_CAP_SIGNAL_MSI"},
	{KVM_CAP_USER_MEMORY, "KVM_CAP_USER_MEMORY"},
	{KVM_CAP_SET_TSS_ADDR, "KVM_CAP_SET_TSS_ADDR"},
	{KVM_CAP_EXT_CPUID, "KVM_CAP_EXT_CPUID"},
	{KVM_CAP_MP_STATE, "KVM_CAP_MP_STATE"},
	{KVM_CAP_VCPU_EVENTS, "KVM_CAP_VCPU_EVENTS"},
	{KVM_CAP_DEBUGREGS, "KVM_CAP_DEBUGREGS"},
	{KVM_CAP_XSAVE, "KVM_CAP_XSAVE"},
	{KVM_CAP_IMMEDIATE_EXIT, "KVM_CAP_IMMEDIATE_EXIT"},
};

int kvm_probe(struct err *e)
{
	int fd = kvm_open(e), rc = 0;

	if (fd < 0)
		return fd;
	for (size_t i = 0; i < sizeof(required) / sizeof(required[0]) && !rc; i++)
		if (kvm_ioctl_val(fd, KVM_CHECK_EXTENSION, required[i].cap) <= 0)
			rc = err_set(e, -ENOTSUP,
				     "/dev/kvm lacks %s, which Baton needs; use a newer kernel",
				     required[i].name);
	close(fd);
	return rc;
}
