/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What every HTML report is made of, from reports/page/; each ends in a NUL. */
#ifndef IVM_HTML_PAGE_H
#define IVM_HTML_PAGE_H

extern const char ivm_page_html[];	/* with "@@NAME@@" where the others go */
extern const char ivm_page_css[];
extern const char ivm_page_js[];
extern const char ivm_uplot_css[];
extern const char ivm_uplot_js[];
extern const char ivm_uplot_license[];

#endif /* IVM_HTML_PAGE_H */
