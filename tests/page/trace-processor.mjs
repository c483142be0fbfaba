// SPDX-License-Identifier: GPL-2.0-or-later
//
// Runs SQL on a Perfetto trace with Perfetto's own trace processor, as ui.perfetto.dev does.
//
//   node trace-processor.mjs DIRECTORY TRACE QUERY...
//
// DIRECTORY has trace_processor.wasm, its loader engine_bundle.node.js and the client side,
// engine.mjs.  The loader is made for a browser's worker: it gets the little of one it needs.
// Each row is printed as one line, cells separated by tabs; the answers end in a form feed.
import { readFileSync } from 'node:fs';
import { pathToFileURL } from 'node:url';
import { join, resolve } from 'node:path';
import vm from 'node:vm';

const [directory, trace, ...queries] = process.argv.slice(2);

function replaceOnce(text, from, to) {
	if (text.split(from).length !== 2)
		throw new Error(`the loader has changed: ${from}`);
	return text.replace(from, () => to);
}

function startBridge() {
	let loader = readFileSync(join(directory, 'engine_bundle.node.js'), 'utf8');

	globalThis.self = globalThis;
	globalThis.WorkerGlobalScope = class {};
	globalThis.location = { href: pathToFileURL(resolve(directory)).href + '/' };
	globalThis.wasmBytes = new Uint8Array(readFileSync(join(directory, 'trace_processor.wasm')));
	loader = replaceOnce(loader, 'this.useMemory64 = hasMemory64Support();',
		'this.useMemory64 = false;');
	loader = replaceOnce(loader, 'locateFile: (s) => s,',
		'locateFile: (s) => s, wasmBinary: globalThis.wasmBytes,');
	loader = replaceOnce(loader, 'const wasmBridge = new wasm_bridge_1.WasmBridge();',
		'const wasmBridge = globalThis.wasmBridge = new wasm_bridge_1.WasmBridge();');
	vm.runInThisContext(loader);
	return globalThis.wasmBridge;
}

async function openEngine() {
	const { EngineBase } = await import(pathToFileURL(resolve(directory, 'engine.mjs')));
	const { port1, port2 } = new MessageChannel();
	const engine = new class extends EngineBase {
		mode = 'WASM';
		id = 'test';
		rpcSendRequestBytes(bytes) { port2.postMessage(bytes); }
		[Symbol.dispose]() { port2.close(); }
	}();

	port2.onmessage = (m) => {
		if (m.data instanceof Uint8Array)
			engine.onRpcResponseBytes(m.data);
	};
	startBridge().initialize(port1);
	return engine;
}

function answer(result) {
	const columns = result.columns();
	const lines = [];

	for (const row = result.iter({}); row.valid(); row.next())
		lines.push(columns.map((c) => String(row.get(c))).join('\t'));
	return lines.join('\n') + '\f';
}

// Says what it does not know of newer results; the rows are all there
console.warn = () => {};
setTimeout(() => { console.error('no answer within 100 s'); process.exit(1); }, 100000).unref();
process.on('unhandledRejection', (e) => { console.error(String(e)); process.exit(1); });

const engine = await openEngine();
const bytes = new Uint8Array(readFileSync(trace));
const chunk = 16 << 20;

for (let at = 0; at < bytes.length; at += chunk)
	await engine.parse(bytes.slice(at, at + chunk));
await engine.notifyEof();
for (const query of queries)
	process.stdout.write(answer(await engine.query(query)));
process.exit(0);
