#!/usr/bin/env python3
"""The lints of scripts/ find a fault that is planted, and nothing where there is none."""
import pathlib
import shutil
import subprocess
import tempfile
import unittest

SOURCE = pathlib.Path(__file__).resolve().parents[2]

LAYERS = 'base:\nnet: base\nservice: api\n'
TREE = {
    'include/msrpd/clock.h': 'int clock_now(void); /* or base_secret() */\n',
    'src/base/base.h': 'int base_secret(void);\n',
    'src/base/base.c': '#include "base/base.h"\n\n#include <msrpd/clock.h>\n\n'
                       'int base_secret(void)\n{\n\treturn 1;\n}\n\n'
                       'int clock_now(void)\n{\n\treturn 2;\n}\n',
    'src/net/net.h': 'int net_open(void);\n',
    'src/net/net.c': '#include "net/net.h"\n\n#include "base/base.h"\n\n'
                     'int net_open(void)\n{\n\treturn base_secret();\n}\n',
    'src/service/service.c': '#include <msrpd/clock.h>\n\nint serve(void);\n\n'
                             'int serve(void)\n{\n\treturn clock_now();\n}\n',
    'src/daemon.c': '#include "net/net.h"\n\nint run(void);\n\n'
                    'int run(void)\n{\n\treturn net_open();\n}\n',
}


class LintTest(unittest.TestCase):
    def setUp(self):
        self.directory = tempfile.TemporaryDirectory()
        self.addCleanup(self.directory.cleanup)
        self.root = pathlib.Path(self.directory.name)
        self.write('src/layers', LAYERS)
        for path, text in TREE.items():
            self.write(path, text)

    def write(self, path, text):
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

    def replace(self, path, old, new):
        text = (self.root / path).read_text()
        self.assertIn(old, text)
        (self.root / path).write_text(text.replace(old, new))

    def build(self):
        """The archives that CMake would make."""
        for layer, sources in [('daemon', 'src/*.c'), *(
                (f'{name}_layer', f'src/{name}/*.c') for name in ('base', 'net', 'service'))]:
            objects = []
            for source in sorted(self.root.glob(sources)):
                objects.append(source.with_suffix('.o'))
                subprocess.run(['cc', '-I', self.root / 'src', '-I', self.root / 'include', '-c',
                                source, '-o', objects[-1]], check=True, timeout=60)
            subprocess.run(['ar', 'rcs', self.root / f'lib{layer}.a', *objects], check=True,
                           timeout=60)

    def run_lint(self, name, *arguments):
        return subprocess.run([name, *arguments], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              text=True, timeout=60, check=False)

    def finds(self, result, *words):
        self.assertEqual(result.returncode, 1, result.stdout)
        self.assertEqual(len(result.stdout.splitlines()), 1, result.stdout)
        for word in words:
            self.assertIn(word, result.stdout)

    def finds_nothing(self, result):
        self.assertEqual((result.returncode, result.stdout), (0, ''))

    def includes(self):
        return self.run_lint(SOURCE / 'scripts/lint-includes', self.root)

    def test_includes(self):
        self.finds_nothing(self.includes())
        self.write('src/base/base.h', '#include "net/net.h"\n')
        self.finds(self.includes(), 'src/base/base.h:1:', 'base/ may include nothing')

    def test_includes_of_a_service(self):
        self.write('src/service/other.c', '#include "base/base.h"\n')
        self.finds(self.includes(), 'src/service/other.c:1:')

    def test_public_includes(self):
        self.write('include/msrpd/clock.h', '#include <event2/event.h>\n')
        self.finds(self.includes(), 'include/msrpd/clock.h:1:')

    def test_includes_of_no_layer(self):
        self.write('src/other/other.c', '')
        self.finds(self.includes(), 'other/ is no layer')

    def cppcheck(self, text):
        self.write('src/base/list.c', text)
        return self.run_lint(SOURCE / 'scripts/lint-cppcheck', self.root / 'src/base/list.c')

    def test_cppcheck(self):
        """Lists of <sys/queue.h> are understood, and an index behind an array is found."""
        head = ('#include <sys/queue.h>\n\n'
                'struct item {\n\tLIST_ENTRY(item) entry;\n\tint sizes[2];\n};\n\n')
        body = 'int size(const struct item *item)\n{\n\treturn item->sizes[%d];\n}\n'
        self.finds_nothing(self.cppcheck(head + body % 1))
        result = self.cppcheck(head + body % 2)
        self.assertEqual(result.returncode, 1)
        self.assertIn('list.c:10:', result.stdout)

    def symbols(self):
        self.build()
        return self.run_lint(SOURCE / 'scripts/lint-symbols', self.root, self.root)

    def test_symbols(self):
        self.finds_nothing(self.symbols())
        self.write('src/base/up.c', 'int net_open(void);\nint up(void);\n'
                                    'int up(void) { return net_open(); }\n')
        self.finds(self.symbols(), 'base/up.o', 'net_open', 'src/net')

    def test_symbols_of_the_daemon(self):
        self.write('src/net/up.c', 'int run(void);\nint up(void);\nint up(void) { return run(); }\n')
        self.finds(self.symbols(), 'net/up.o', 'run')

    def test_symbols_of_a_service(self):
        """What a comment alone mentions is not declared."""
        self.replace('src/service/service.c', 'int serve', 'int base_secret(void);\nint serve')
        self.replace('src/service/service.c', 'clock_now()', 'base_secret()')
        self.finds(self.symbols(), 'service/service.o', 'base_secret', 'src/base')

    def test_symbols_without_archives(self):
        result = self.run_lint(SOURCE / 'scripts/lint-symbols', self.root, self.root)
        self.assertNotEqual(result.returncode, 0)

    def docs(self, page):
        self.write('docs/architecture.md', page)
        return self.run_lint(SOURCE / 'scripts/lint-docs', self.root)

    def test_docs(self):
        page = ('`net_open()` of `net/net.c` and `src/base/`\n\n### `src/`\n\n| `daemon.c` | |\n\n'
                '### `src/base/`\n\n| `base.c` | |\n\n### `src/net/`\n\n| `net.c` | |\n\n'
                '### `src/service/`\n\n| `service.c` | |\n')
        self.finds_nothing(self.docs(page))
        for old, new, words in (('`net_open()`', '`net_shut()`', ('.md:1:', 'net_shut')),
                                ('`net/net.c` and', '`net/tcp.c` and', ('.md:1:', 'net/tcp.c')),
                                ('`net_open()`', '`struct net`', ('.md:1:', 'struct net')),
                                ('| `net.c` | |\n', '', ('src/net/net.c is not in the map',))):
            with self.subTest(old):
                self.finds(self.docs(page.replace(old, new)), *words)
        result = self.docs(page.replace('| `net.c` |', '| `tcp.c` |'))
        self.assertIn('there is no src/net/tcp.c', result.stdout)

    def test_pages(self):
        """Links, blocks and the index of other pages."""
        self.docs('### `src/`\n\n| `daemon.c` | |\n\n### `src/base/`\n\n| `base.c` | |\n\n'
                  '### `src/net/`\n\n| `net.c` | |\n\n'
                  '### `src/service/`\n\n| `service.c` | |\n')
        self.write('docs/README.md', '[a](architecture.md) [o](one.md#two-words)\n')
        lint = SOURCE / 'scripts/lint-docs'
        good = ('# One\n\n## Two `words`\n\n[up](../docs/one.md#one) [out](https://example.org)\n'
                '`[no](link)`\n\n```text\n[no](link)\n```\n')
        self.write('docs/one.md', good)
        self.finds_nothing(self.run_lint(lint, self.root))
        for old, new, words in (('#one)', '#three)', ('docs/one.md:5:', '#three', 'heading')),
                                ('../docs/', '../', ('docs/one.md:5:', 'there is no ../one.md')),
                                ('```text', '```', ('docs/one.md:8:', 'nobody checks')),
                                ('```text', '```yaml', ('docs/one.md:8:', 'yaml')),
                                ('```\n', '', ('docs/one.md:8:', 'no end'))):
            with self.subTest(new):
                self.write('docs/one.md', good.replace(old, new))
                result = self.run_lint(lint, self.root)
                self.assertEqual(result.returncode, 1)
                for word in words:
                    self.assertIn(word, result.stdout)
        self.write('docs/one.md', good)
        self.write('docs/README.md', '[a](architecture.md)\n')
        result = self.run_lint(lint, self.root)
        self.assertIn('docs/one.md is not in the index', result.stdout)

    def test_python(self):
        """In a file, a class and a function; not a property's setter, nor one name in two classes."""
        text = ('class One:\n    def test_a(self):\n        pass\n\n    def test_b(self):\n'
                '        def inner():\n            pass\n        def other():\n            pass\n'
                '\n    @property\n    def c(self):\n        pass\n\n    @c.setter\n'
                '    def c(self, value):\n        pass\n\n\n'
                'class Two:\n    def test_a(self):\n        pass\n')

        def lint(text):
            self.write('tests/e2e/test_one.py', text)
            return self.run_lint(SOURCE / 'scripts/lint-python', self.root)

        self.finds_nothing(lint(text))
        for old, new, line in (('Two', 'One', 20), ('test_b', 'test_a', 5), ('other', 'inner', 8)):
            with self.subTest(old):
                self.finds(lint(text.replace(old, new)), f'tests/e2e/test_one.py:{line}: {new} ')

    def test_format(self):
        for path in ('.clang-format', 'scripts/lint-format'):
            (self.root / path).parent.mkdir(exist_ok=True)
            shutil.copy(SOURCE / path, self.root / path)
        for path in ('tests', 'bench', 'fuzz'):
            (self.root / path).mkdir()
        lint = self.root / 'scripts/lint-format'
        self.finds_nothing(self.run_lint(lint))
        self.replace('src/base/base.c', '\treturn 1;', '    return 1;')
        result = self.run_lint(lint)
        self.assertNotEqual(result.returncode, 0)
        self.assertIn('src/base/base.c:', result.stdout)


if __name__ == '__main__':
    unittest.main()
