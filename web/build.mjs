// node build.mjs: bundle the page into dist/, as it is shipped.
// node build.mjs test: bundle the tests into node_modules/.tests/, for node --test.
import { build } from 'esbuild';
import { readdirSync } from 'node:fs';

function named(folder, end) {
	return readdirSync(folder).filter((name) => name.endsWith(end)).map((name) => `${folder}/${name}`);
}

async function buildTests() {
	await build({
		entryPoints: named('msrp/test', '.test.ts'), outdir: 'node_modules/.tests', bundle: true,
		platform: 'node', format: 'esm', outExtension: { '.js': '.mjs' }, sourcemap: 'inline', logLevel: 'warning',
	});
}

process.chdir(import.meta.dirname);
if (process.argv[2] === 'test')
	await buildTests();
