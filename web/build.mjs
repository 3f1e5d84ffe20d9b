// node build.mjs [FOLDER]: bundle the page into dist/, as it is shipped, or into FOLDER.
// node build.mjs --tests: bundle the tests into node_modules/.tests/, for node --test.
import { build } from 'esbuild';
import { copyFileSync, mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

/** What is in the bundle besides our own. */
const BUNDLED = ['@noble/hashes', '@rgrove/parse-xml', 'sip.js'];
const COPIED = ['index.html', 'chat.css', 'icon.svg', 'config.json'];

/** What browsers have, and Node.js from 20 on. */
const WEB_CRYPTO = "import { webcrypto } from 'node:crypto'; globalThis.crypto ??= webcrypto;";

function named(folder, end) {
	return readdirSync(folder).filter((name) => name.endsWith(end)).map((name) => `${folder}/${name}`);
}

async function buildTests() {
	await build({
		entryPoints: [...named('msrp/test', '.test.ts'), ...named('test', '.test.ts')], outdir: 'node_modules/.tests',
		outbase: '.', entryNames: '[name]', bundle: true, platform: 'node', format: 'esm',
		outExtension: { '.js': '.mjs' }, sourcemap: 'inline', logLevel: 'warning',
		banner: { js: WEB_CRYPTO },
	});
}

function licences() {
	return BUNDLED.map((name) => {
		const folder = `node_modules/${name}`;
		const { version } = JSON.parse(readFileSync(`${folder}/package.json`, 'utf8'));
		const file = readdirSync(folder).find((entry) => /^licen[cs]e/i.test(entry));

		return `${name} ${version}\n\n${readFileSync(`${folder}/${file}`, 'utf8').trim()}\n`;
	}).join(`\n${'-'.repeat(72)}\n\n`);
}

async function buildPage(folder) {
	mkdirSync(folder, { recursive: true });
	await build({
		entryPoints: { chat: 'src/main.ts' }, outdir: folder, bundle: true, format: 'esm', target: ['es2022'],
		minify: true, charset: 'utf8', legalComments: 'inline', logLevel: 'warning',
	});
	for (const name of COPIED)
		copyFileSync(`src/${name}`, `${folder}/${name}`);
	writeFileSync(`${folder}/THIRD-PARTY.txt`, licences());
}

const [what = 'dist'] = process.argv.slice(2);

process.chdir(fileURLToPath(new URL('.', import.meta.url)));
await (what === '--tests' ? buildTests() : buildPage(what));
