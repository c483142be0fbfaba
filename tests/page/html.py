#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Opens HTML reports in Chromium, as a reader would, and speaks TAP.

html.py DIRECTORY: has native.html, odd.html (hostile names), empty.html, big.html and
leaves screenshots in $IVM_SCREENSHOTS, if that is set
"""
import json
import os
import sys

from browser import Browser

count = failed = 0


def check(name, ok, *why):
    global count, failed
    count += 1
    failed += not ok
    print(f'{"ok" if ok else "not ok"} {count} - {name}')
    for line in () if ok else why:
        print('# ' + str(line)[:2000].replace('\n', '\n# '))
    sys.stdout.flush()


# Pixels of a chart that are not the colour of most
DRAWN = '''[...document.querySelectorAll('.chart canvas')].map((c) => {
    const p = new Uint32Array(c.getContext('2d').getImageData(0, 0, c.width, c.height).data.buffer);
    const seen = new Map();
    for (const v of p) seen.set(v, (seen.get(v) || 0) + 1);
    return { pixels: p.length - Math.max(...seen.values()), colours: seen.size };
})'''

# Text whose contrast with what is behind it is below that of WCAG AA
CONTRAST = '''(() => {
    const channel = (v) => (v /= 255) <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4;
    const parse = (c) => c.match(/[\\d.]+/g).map(Number);
    const light = ([r, g, b]) => .2126 * channel(r) + .7152 * channel(g) + .0722 * channel(b);
    const behind = (e) => {
        for (; e; e = e.parentElement) {
            const c = parse(getComputedStyle(e).backgroundColor);
            if (c.length < 4 || c[3] === 1) return c;
        }
        return [255, 255, 255];
    };
    const poor = [];
    for (const e of document.querySelectorAll('body *')) {
        const own = [...e.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim());
        if (!own || !e.checkVisibility() || ['SCRIPT', 'STYLE', 'NOSCRIPT'].includes(e.tagName)) continue;
        const a = light(parse(getComputedStyle(e).color)) + .05, b = light(behind(e)) + .05;
        const ratio = Math.max(a, b) / Math.min(a, b);
        if (ratio < 4.5) poor.push(`${e.tagName} "${e.textContent.slice(0, 30)}": ${ratio.toFixed(2)}`);
    }
    return poor;
})()'''

# What a screen reader needs to know
NAMELESS = '''(() => {
    const found = [];
    for (const e of document.querySelectorAll('button, [role=img], [tabindex="0"], section'))
        if (!(e.getAttribute('aria-label') || e.getAttribute('aria-labelledby') || e.textContent.trim()))
            found.push(e.outerHTML.slice(0, 80));
    for (const e of document.querySelectorAll('[aria-labelledby]'))
        if (!document.getElementById(e.getAttribute('aria-labelledby'))) found.push(e.outerHTML.slice(0, 80));
    for (const e of document.querySelectorAll('th'))
        if (!e.scope) found.push('th ' + e.textContent);
    const ids = [...document.querySelectorAll('[id]')].map((e) => e.id);
    found.push(...ids.filter((id, i) => ids.indexOf(id) !== i).map((id) => 'twice: ' + id));
    if (document.querySelectorAll('h1').length !== 1 || !document.documentElement.lang) found.push('h1, lang');
    return found;
})()'''

# Where outlier number i of the first mode is on the screen, and what its waterfall has to say
OUTLIER = '''(() => {
    document.getElementById('chart-time').scrollIntoView({ block: 'center' });
    const data = JSON.parse(document.getElementById('data').textContent);
    const m = data.modes.filter((m) => m.total)[%d];
    const o = m.outliers.reduce((a, b) => a.total > b.total ? a : b);
    const plot = document.getElementById('chart-time').plot, box = plot.over.getBoundingClientRect();
    return { x: box.left + plot.valToPos(o.t / 1e9, 'x'), y: box.top + plot.valToPos(o.total / 1000, 'y'),
             id: o.id, hops: o.points.length - 1, us: (o.total / 1000).toFixed(3) };
})()'''


def check_quiet(browser, name):
    check(f'{name}: no errors', not browser.errors, browser.errors)
    asked = [u for u in browser.requests if not u.startswith('data:')]
    check(f'{name}: asks for nothing but itself', len(asked) == 1, asked)
    text = browser.js('document.body.innerText')
    check(f'{name}: only numbers and words', not any(w in text for w in ('NaN', 'undefined', 'Infinity', '[object')))


def check_journey(browser, name, wanted):
    text = browser.js("document.getElementById('journey').innerText").replace(',', '')
    rows = browser.js("document.querySelectorAll('#journey tbody tr').length")
    check(name, f'journey {wanted["id"]} ' in text + ' ' and wanted['us'] in text and
          rows == wanted['hops'], text, rows, wanted)


def check_native(browser, path):
    browser.look('light')
    browser.open(path)
    check_quiet(browser, 'native')
    drawn = browser.js(DRAWN)
    check('three charts are drawn', len(drawn) == 3 and all(d['pixels'] > 2000 and d['colours'] > 10 for d in drawn),
          drawn)
    for mode in range(browser.js("JSON.parse(document.getElementById('data').textContent).modes"
                                 ".filter((m) => m.total).length")):
        wanted = browser.js(OUTLIER % mode)
        browser.click(wanted['x'], wanted['y'])
        check_journey(browser, f'mode {mode}: a click on an outlier shows its waterfall', wanted)
    browser.js("document.querySelector('#slowest button').focus()")
    first = browser.js("document.querySelector('#slowest button').getAttribute('aria-label')").split()
    browser.press('Enter')
    text = browser.js("document.getElementById('journey').innerText")
    check('the keyboard shows the slowest', first[5].rstrip(',') in text, first, text[:200])
    check('focus follows', browser.js("document.activeElement.id") == 'one')
    check('names for those who do not see', not browser.js(NAMELESS), browser.js(NAMELESS))


def check_looks(browser, path, shots):
    for scheme, width in (('light', 1200), ('dark', 1200), ('light', 360), ('dark', 360)):
        look = f'{scheme}, {width} pixels wide'
        browser.look(scheme, width)
        browser.open(path)
        browser.js("document.querySelectorAll('details').forEach((d) => { d.open = true; })")
        browser.js("document.querySelector('#slowest button').click()")
        browser.settle()
        poor = browser.js(CONTRAST)
        check(f'{look}: contrast', not poor, *poor[:10])
        wide = browser.js('document.documentElement.scrollWidth')
        check(f'{look}: nothing sticks out', wide <= width, wide)
        drawn = browser.js(DRAWN)
        check(f'{look}: charts', len(drawn) == 3 and all(d['pixels'] > 1000 for d in drawn), drawn)
        if shots:
            browser.js("document.querySelectorAll('details').forEach((d) => { d.open = false; })")
            browser.screenshot(f'{shots}/report-{scheme}-{width}.png')
    browser.look('light')
    browser.open(path)
    before = browser.js("document.querySelector('#chart-ecdf canvas').toDataURL()")
    browser.look('dark')
    after = browser.js("document.querySelector('#chart-ecdf canvas').toDataURL()")
    check('charts follow when the light goes out', before != after)


def check_odd(browser, path):
    browser.look('light')
    browser.open(path)
    check_quiet(browser, 'odd names')
    check('a link name is text, whatever it says', browser.js('document.title') == 'ivmtrace report' and
          browser.js('window.owned === undefined'))
    check('and is shown as it is', '</script><script>' in browser.js('document.body.innerText'))


def main():
    directory = sys.argv[1]
    browser = Browser()
    try:
        check_native(browser, f'{directory}/native.html')
        check_looks(browser, f'{directory}/native.html', os.environ.get('IVM_SCREENSHOTS'))
        check_odd(browser, f'{directory}/odd.html')
        browser.open(f'{directory}/empty.html')
        check_quiet(browser, 'empty')
        browser.open(f'{directory}/big.html')
        check_quiet(browser, '10^6 journeys')
        note = browser.js("document.getElementById('dots-note').textContent")
        check('10^6 journeys: says what was left out', '1,000,000' in note and 'sample' in note, note)
    finally:
        browser.close()
    print(f'1..{count}')
    return failed != 0


sys.exit(main())
