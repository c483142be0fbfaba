# SPDX-License-Identifier: GPL-2.0-or-later
"""Headless Chromium, driven over a pipe by the DevTools protocol."""
import base64
import json
import os
import select
import shutil
import subprocess
import tempfile
import time

DEADLINE_S = 60


class Browser:
    """One page; .errors and .requests collect what it complains of and asks for"""

    def __init__(self):
        self.profile = tempfile.mkdtemp()
        down, self.out = os.pipe()
        self.inp, up = os.pipe()

        def pipes():
            # Chromium reads from 3 and writes to 4; first out of the way of each other
            a, b = os.dup(down), os.dup(up)
            os.dup2(a, 3)
            os.dup2(b, 4)
        self.process = subprocess.Popen(
            ['chromium', '--headless=new', '--no-sandbox', '--disable-gpu', '--hide-scrollbars',
             '--remote-debugging-pipe', '--no-first-run', '--disable-background-networking',
             f'--user-data-dir={self.profile}', 'about:blank'],
            close_fds=False, preexec_fn=pipes, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL)
        os.close(down)
        os.close(up)
        self.buffer, self.last_id, self.session = b'', 0, None
        self.errors, self.requests, self.events = [], [], []
        target = [t for t in self.call('Target.getTargets')['targetInfos'] if t['type'] == 'page'][0]
        self.session = self.call('Target.attachToTarget', targetId=target['targetId'],
                                 flatten=True)['sessionId']
        for domain in ('Page', 'Runtime', 'Log', 'Network'):
            self.call(f'{domain}.enable')

    def close(self):
        self.process.terminate()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        shutil.rmtree(self.profile, ignore_errors=True)

    def read(self, deadline):
        while b'\0' not in self.buffer:
            if not select.select([self.inp], [], [], max(0, deadline - time.monotonic()))[0]:
                raise TimeoutError('Chromium does not answer')
            data = os.read(self.inp, 1 << 20)
            if not data:
                raise EOFError('Chromium has gone')
            self.buffer += data
        message, self.buffer = self.buffer.split(b'\0', 1)
        return json.loads(message)

    def note(self, message):
        method, params = message.get('method'), message.get('params', {})
        if method == 'Runtime.exceptionThrown':
            self.errors.append(params['exceptionDetails'].get('exception', {}).get('description', 'exception'))
        elif method == 'Runtime.consoleAPICalled' and params['type'] in ('error', 'warning'):
            self.errors.append(str(params['args']))
        elif method == 'Log.entryAdded' and params['entry']['level'] in ('error', 'warning'):
            self.errors.append(params['entry']['text'])
        elif method == 'Network.requestWillBeSent':
            self.requests.append(params['request']['url'])
        self.events.append(method)

    def call(self, method, **params):
        self.last_id += 1
        message = {'id': self.last_id, 'method': method, 'params': params}
        if self.session:
            message['sessionId'] = self.session
        os.write(self.out, json.dumps(message).encode() + b'\0')
        deadline = time.monotonic() + DEADLINE_S
        while True:
            answer = self.read(deadline)
            if answer.get('id') != self.last_id:
                self.note(answer)
            elif 'error' in answer:
                raise RuntimeError(f'{method}: {answer["error"]}')
            else:
                return answer['result']

    def open(self, path):
        self.errors, self.requests, self.events = [], [], []
        self.call('Page.navigate', url='file://' + os.path.abspath(path))
        deadline = time.monotonic() + DEADLINE_S
        while 'Page.loadEventFired' not in self.events:
            self.note(self.read(deadline))
        self.settle()

    def settle(self):
        """Until what was asked to be drawn is drawn"""
        self.js('new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))')

    def js(self, expression):
        answer = self.call('Runtime.evaluate', expression=expression, awaitPromise=True,
                           returnByValue=True)
        if 'exceptionDetails' in answer:
            raise RuntimeError(answer['exceptionDetails'].get('exception', {}).get('description'))
        return answer['result'].get('value')

    def look(self, scheme='light', width=1200, height=900):
        self.call('Emulation.setEmulatedMedia',
                  features=[{'name': 'prefers-color-scheme', 'value': scheme}])
        self.call('Emulation.setDeviceMetricsOverride', width=width, height=height,
                  deviceScaleFactor=1, mobile=width < 600)
        self.settle()

    def click(self, x, y):
        for kind in ('mouseMoved', 'mousePressed', 'mouseReleased'):
            self.call('Input.dispatchMouseEvent', type=kind, x=x, y=y, button='left', clickCount=1)
        self.settle()

    def press(self, key):
        code = {'Enter': 13, 'Tab': 9}[key]
        for kind in ('keyDown', 'keyUp'):
            self.call('Input.dispatchKeyEvent', type=kind, key=key, code=key,
                      windowsVirtualKeyCode=code, **({'text': '\r'} if key == 'Enter' else {}))
        self.settle()

    def screenshot(self, path):
        size = self.call('Page.getLayoutMetrics')['cssContentSize']
        shot = self.call('Page.captureScreenshot', captureBeyondViewport=True,
                         clip={'x': 0, 'y': 0, 'width': size['width'], 'height': size['height'], 'scale': 1})
        with open(path, 'wb') as f:
            f.write(base64.b64decode(shot['data']))
