// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The parts of the HTML report, taken in as they are.  Paths are relative to the
 * top of the tree, where make runs the compiler.
 */
#include "html_page.h"

#define EMBED(symbol, path)						\
	__asm__(".pushsection .rodata\n"				\
		".global " #symbol "\n"					\
		".type " #symbol ", @object\n"				\
		#symbol ":\n"						\
		".incbin \"" path "\"\n"				\
		".byte 0\n"						\
		".size " #symbol ", . - " #symbol "\n"			\
		".popsection\n")

EMBED(ivm_page_html, "reports/page/page.html");
EMBED(ivm_page_css, "reports/page/page.css");
EMBED(ivm_page_js, "reports/page/page.js");
EMBED(ivm_uplot_css, "reports/page/uplot/uPlot.min.css");
EMBED(ivm_uplot_js, "reports/page/uplot/uPlot.iife.min.js");
EMBED(ivm_uplot_license, "reports/page/uplot/LICENSE");
