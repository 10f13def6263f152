/* SPDX-License-Identifier: Apache-2.0 */
#include "kernel/lib/lib.h"

struct out {
	char *buf;
	size_t size, len;
};

static void put(struct out *o, char c)
{
	if (o->len + 1 < o->size)
		o->buf[o->len] = c;
	o->len++;
}

static void put_padded(struct out *o, const char *s, size_t len, unsigned width, bool left,
		       char pad)
{
	for (size_t i = len; !left && i < width; i++)
		put(o, pad);
	for (size_t i = 0; i < len; i++)
		put(o, s[i]);
	for (size_t i = len; left && i < width; i++)
		put(o, ' ');
}

static size_t digits(char *end, uint64_t v, unsigned base)
{
	size_t n = 0;

	do {
		*--end = "0123456789abcdef"[v % base];
		v /= base;
		n++;
	} while (v);
	return n;
}

struct spec {
	bool left, wide;
	char pad;
	unsigned width;
	int precision; /* -1: none */
};

static const char *parse(struct spec *s, const char *f, va_list *ap)
{
	*s = (struct spec){.pad = ' ', .precision = -1};
	for (; *f == '-' || *f == '0'; f++) {
		if (*f == '-')
			s->left = true;
		else
			s->pad = '0';
	}
	for (; *f >= '0' && *f <= '9'; f++)
		s->width = s->width * 10 + (unsigned)(*f - '0');
	if (*f == '.' && f[1] == '*') {
		s->precision = va_arg(*ap, int);
		f += 2;
	}
	for (; *f == 'l' || *f == 'z'; f++)
		s->wide = true;
	return f;
}

static void put_number(struct out *o, const struct spec *s, char conv, va_list *ap)
{
	char text[24], *end = text + sizeof(text);
	bool negative = false;
	uint64_t v;
	size_t n;

	if (conv == 'd') {
		int64_t d = s->wide ? va_arg(*ap, int64_t) : va_arg(*ap, int);

		negative = d < 0;
		v = negative ? 0 - (uint64_t)d : (uint64_t)d;
	} else {
		v = s->wide || conv == 'p' ? va_arg(*ap, uint64_t) : va_arg(*ap, uint32_t);
	}
	n = digits(end, v, conv == 'x' || conv == 'p' ? 16 : 10);
	if (negative)
		text[sizeof(text) - ++n] = '-';
	put_padded(o, end - n, n, s->width, s->left, s->pad);
}

int vsnprintf(char *buf, size_t size, const char *fmt, va_list ap)
{
	struct out o = {buf, size, 0};
	struct spec s;
	const char *text;
	va_list args;
	size_t n;

	va_copy(args, ap);
	for (; *fmt; fmt++) {
		if (*fmt != '%' || fmt[1] == '%') {
			fmt += *fmt == '%';
			put(&o, *fmt);
			continue;
		}
		fmt = parse(&s, fmt + 1, &args);
		if (*fmt == 's') {
			text = va_arg(args, const char *);
			n = 0;
			while (text[n] && (s.precision < 0 || n < (size_t)s.precision))
				n++;
			put_padded(&o, text, n, s.width, s.left, ' ');
		} else if (*fmt == 'c') {
			put(&o, (char)va_arg(args, int));
		} else {
			put_number(&o, &s, *fmt, &args);
		}
	}
	va_end(args);
	if (size)
		buf[MIN(o.len, size - 1)] = 0;
	return (int)o.len;
}

int snprintf(char *buf, size_t size, const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(buf, size, fmt, ap);
	va_end(ap);
	return n;
}
