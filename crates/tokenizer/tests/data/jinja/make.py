"""What transformers' Jinja makes of small templates: filters, tests, methods, operators, tags.

    make.py

Writes vectors.json: pairs of a template and its text (null where Python refuses it), and the
names that templates see. Needs transformers (made with 5.24.0) and jinja2 (3.1.6).
"""

import json
import pathlib

from transformers.utils import chat_template_utils as utils

CONTEXT = {
    "messages": [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Hi <b>you</b> & 'me'"},
        {"role": "assistant", "content": "", "tool_calls": [{"function": {"name": "f", "arguments": {"x": 1, "y": [1.5, None, True]}}}]},
    ],
    "s": "Hello, wide World", "t": "  two\twords \n", "e": "", "u": "größe ẞ 👩 ñ", "q": "it's",
    "i": -7, "f": 2.5, "n": None, "yes": True, "no": False,
    "l": [3, 1, 2], "w": ["b", "A", "c", "a"], "empty": [],
    "d": {"b": 1, "a": 2, "C": None}, "o": {},
    "r": [{"k": "x", "v": 2, "in": {"z": 1}}, {"k": "y", "v": 1, "in": {"z": 0}}, {"k": "X", "v": 3, "in": {"z": 2}}],
}

# Expressions: what stands between {{ and }}.
EXPRESSIONS = r"""
n | default('none', boolean=true)
n | default('none', true)
e | default('x', boolean=True)
e | d('x')
x | default('y')
x | default(default_value='y')
x | default
s | default('y', false)
n | default('y')
'%s:%d' % ('a', 5)
'%s' % 'a'
'%s' % n
'%s and %s' % (l, d)
'%s' % (d,)
'%(a)s-%(b)03d' % d
'%(a)s' % {'a': [1, 'x']}
'%5.2f|%-5d|%05d|%+d|% d' % (3.14159, 7, 42, 3, 3)
'%x %X %o %#x %#o %e %E %g %G' % (255, 255, 8, 255, 8, 12345.678, 0.00012, 1234567.0, 0.00001)
'%r %a %s' % ('é', 'é', 'é')
'%c%c' % ('a', 98)
'%%' % ()
'100%%' % ()
'%*d|%-*d|%.*f' % (5, 42, 5, 42, 2, 3.14159)
'%10s|%-10s|%.2s|%10.3s' % ('abc', 'abc', 'abc', 'abcdef')
'%i %u' % (3.7, 4)
'%s' % 1.0
'%s %s %s' % (true, none, 1e20)
'%d' % true
'%d' % 12345678901234567890
'%s' % (1, 2)
'%d' % 'x'
'%s' % ()
'a' % ()
'a' % 'b'
'a' % {'b': 1}
'%s' % [1, 2]
'%(x)s' % {}
'%f' % 1
'%f' % f
'%.0f %.1f' % (2.5, 0.25)
'%s' ~ 'a' % ()
'a' ~ '%s' % 'b' ~ 'c'
('%s') % 'a'
e % ()
'%s|%s' % (s | upper, l[0])
'%s' % s.split(',')[0]
'%s' % -3
'%d items' % l | length
'%d items' % (l | length)
'%s' % messages[0].role ~ '!'
7 % 3
-7 % 3
7 % -3
i % 2
7.5 % 2
-7.5 % 2
2 * 7 % 4
7 % 4 * 2
7 // 2
-7 // 2
7 / 2
6 / 2
2 ** 3
2 ** -1
2 ** 0.5
-2 ** 2
10 % 4 % 3
1 + 10 % 4
10 - 7 % 4
10 % 4 + 1
10 % 4 == 2
10 % 4 is even
10 % 4 > 1 and 5 % 2 == 1
(10 % 4, 3 % 2)
[10 % 4, l[5 % 3]]
{'a': 10 % 4}
'x' if 10 % 4 == 2 else 'y'
l[7 % 2]
not 4 % 2
loop is defined
'a,b,c'.split(',', maxsplit=1)
'a,b,c'.split(',', 1)
'a,b,c'.split(sep=',')
'a,b,c'.split(',', -1)
'a,b,c'.split(',', 0)
'a,b,c'.rsplit(',', maxsplit=1)
'a,b,c'.rsplit(',', 1)
'a,b,c'.rsplit(',')
t.split()
t.rsplit()
t.split(None, 1)
t.split(maxsplit=1)
t.rsplit(None, 1)
t.rsplit(maxsplit=1)
t.split(none)
' a  b '.split(' ')
''.split()
''.split(',')
'\U0001F600'
'\u00e9\x41\101\0'
'\a\b\f\v\n\r\t' | tojson
'\d\q\.'
"\"'"
'\'"'
'a\
b'
'\\n'
'\N{BULLET}'
"%}{{ }}"
strftime_now is callable
raise_exception is callable
range is callable
s is callable
s.upper is callable
d.get is callable
x is callable
'x' | int
'x' | int(7)
'x' | int(default=7)
'0x1F' | int(base=16)
'ff' | int(0, 16)
'12' | int
' 12 ' | int
'1.9' | int
'-3' | int
'1e3' | int
1.9 | int
-1.9 | int
n | int
l | int
true | int
'x' | float
'x' | float(1.5)
'2.5' | float
'1e3' | float
'7' | float
3 | float
n | float
'inf' | float
'nan' | float
12 | string | length
'1_000' | int
{'a': 1}.copy()
d.copy()
l.copy()
w.copy()
d.get('a')
d.get('z')
d.get('z', 5)
d.keys() | list
d.values() | list
d.items() | list
d.keys()
d.items()
d.values()
d.pop('a')
d.update({'z': 1})
d.setdefault('a', 1)
d.clear()
l.append(4)
l.sort()
l.index(1)
l.count(1)
l.index(9)
(1, 2, 1).count(1)
(1, 2, 1).index(2)
d.fromkeys(['a', 'b'])
d.fromkeys(['a'], 0)
'ab'.ljust(4) ~ '|'
'ab'.ljust(4, '.')
'ab'.rjust(4, '.')
'ab'.rjust(4)
'ab'.center(5, '.')
'ab'.center(6)
'abc'.center(6, '-')
'ab'.center(1)
'42'.zfill(5)
'-42'.zfill(5)
'+4'.zfill(4)
'abc'.zfill(2)
'größe'.ljust(7, 'ß')
s.lower()
s.upper()
s.title()
s.swapcase()
s.capitalize()
s.casefold()
'ẞß'.casefold()
u.upper()
u.lower()
u.title()
'hello wORLD it\'s o-k'.title()
'hello wORLD it\'s o-k' | title
'hELLO'.capitalize()
s.startswith('Hello')
s.startswith(('x', 'H'))
s.startswith('ello', 1)
s.startswith('H', 0, 0)
s.endswith('World')
s.endswith(('x', 'd'))
s.endswith('wide', 0, -6)
s.find('o')
s.find('o', 5)
s.find('o', 0, 3)
s.find('z')
u.find('👩')
s.rfind('o')
s.rfind('o', 0, 10)
s.index('W')
s.index('z')
s.rindex('l')
s.count('l')
s.count('l', 4)
s.count('l', 0, 4)
'aaaa'.count('aa')
'abc'.count('')
s.replace('l', 'L')
s.replace('l', 'L', 1)
s.replace('l', 'L', -1)
s.replace('l', 'L', count=1)
'abc'.replace('', '-')
t.strip()
t.lstrip()
t.rstrip()
t.strip() | length
'xxaxx'.strip('x')
'xyaxy'.lstrip('xy')
'xyaxy'.rstrip('yx')
'a'.strip(none)
'\u200b\u00a0a\u00a0'.strip() | length
'a-b-c'.partition('-')
'a-b-c'.rpartition('-')
'abc'.partition('-')
'abc'.rpartition('-')
'abc'.removeprefix('a')
'abc'.removesuffix('c')
'abc'.removeprefix('x')
'a\nb\r\nc\rd'.splitlines()
'a\nb\n'.splitlines()
'a\nb\r\nc'.splitlines(true)
'a\nb'.splitlines(keepends=True)
'a\u2028b\x0bc\x1cd\x85e'.splitlines()
''.splitlines()
'-'.join(w)
'-'.join(['a'])
'-'.join('abc')
'-'.join(l)
', '.join(d)
', '.join(d.keys())
'a\tb'.expandtabs()
'a\tb\tc'.expandtabs(4)
'a\tb'.expandtabs(tabsize=2)
'abc'.translate({97: 'x', 98: none})
'abc'.isalpha()
'abc1'.isalnum()
'12'.isdigit()
'1²'.isdigit()
'½'.isdigit()
'½'.isnumeric()
'12'.isnumeric()
'12'.isdecimal()
'²'.isdecimal()
'ab'.islower()
'AB'.isupper()
'A1'.isupper()
'Ab Cd'.istitle()
'ab Cd'.istitle()
'a_1'.isidentifier()
'1a'.isidentifier()
' \t'.isspace()
''.isspace()
'abc'.isascii()
'é'.isascii()
'a b'.isprintable()
'a\n'.isprintable()
'abc'.encode()
'abc'.encode('utf-8').decode('utf-8')
'abc'.encode('utf-8') | length
'{} {}'.format('a', 1)
'{0} {1} {0}'.format('a', 'b')
'{a} {b}'.format(a=1, b='x')
'{:>5}|{:<5}|{:^5}|{:*^5}'.format('a', 'b', 'c', 'd')
'{:05d} {:+d} {:,} {:_}'.format(42, 3, 1234567, 1234567)
'{:.2f} {:e} {:g} {:%}'.format(3.14159, 12345.678, 0.5, 0.25)
'{:x} {:X} {:#x} {:b} {:o} {:c}'.format(255, 255, 255, 5, 8, 97)
'{!r} {!s} {!a}'.format('é', 'é', 'é')
'{0[a]} {1[0]}'.format(d, l)
'{} {}'.format(l, d)
'{} {} {}'.format(1.0, none, true)
'{{}} {}'.format(1)
'{:{}}'.format('a', 5)
'{a.b}'.format(a={'b': 1})
'{:10.3}|'.format('abcdef')
'{:>{w}}'.format('a', w=4)
'{x[y]}'.format(x={'y': 2})
'{a}'.format_map({'a': 1})
s | upper
s | lower
s | capitalize
s | title
s | length
s | count
s | reverse
s | first
s | last
s | list
s | replace('l', 'L')
s | replace('l', 'L', 1)
s | replace('l', 'L', count=2)
t | trim
'xxaxx' | trim('x')
s | truncate(9)
s | truncate(9, true)
s | truncate(9, false, '!')
s | truncate(16)
s | truncate(16, leeway=0)
s | truncate(length=9, killwords=True, end='…', leeway=0)
s | wordcount
u | wordcount
s | wordwrap(7)
s | wordwrap(5, false)
s | wordwrap(5, break_long_words=true, wrapstring='|')
'a\nb' | wordwrap(7)
s | center(25)
s | center(width=21) ~ '|'
s | center
'a\nb' | indent
'a\nb\n\nc' | indent(2)
'a\nb\n\nc' | indent(2, true)
'a\nb\n\nc' | indent(2, true, true)
'a\nb' | indent(width=3, first=True)
'a\nb' | indent('> ')
'a\nb\n\nc' | indent(2, blank=true)
'a\nb\n' | indent(2) ~ '|'
'<a href="x">' | escape
'<a>' | e
'<a>' | safe
'<a>' | escape | safe
'<a>' | escape ~ '<b>'
'<a>' | forceescape
'<p>a</p>  <b>b</b>' | striptags
'http://a.b/c d?e=f&g' | urlencode
{'a': 1, 'b': 'x y'} | urlencode
'a/b' | urlencode
'see http://a.bc now' | urlize
'%s-%s' | format('a', 'b')
'%(x)s' | format(x=1)
'%d' | format(3.9)
'%s' | format(l)
'%05.1f' | format(2.25)
l | join
l | join(', ')
l | join(d=', ')
r | join(', ', attribute='k')
r | join(', ', 'k')
d | join(',')
l | first
l | last
empty | first
empty | last
(empty | first) is defined
l | length
l | count
d | length
l | sum
r | sum(attribute='v')
r | sum('v', 10)
l | sum(start=10)
l | min
l | max
w | min
w | max(case_sensitive=true)
w | min(true)
empty | min
r | max(attribute='v')
r | min(attribute='in.z')
l | sort
l | sort(reverse=true)
l | sort(true)
w | sort
w | sort(case_sensitive=true)
w | sort(false, true)
r | sort(attribute='v') | map(attribute='k') | join
r | sort(attribute='k,v') | map(attribute='v') | join
r | sort(attribute='in.z', reverse=true) | map(attribute='v') | list
l | reverse | list
l | list
d | list
l | unique | list
w | unique | list
w | unique(case_sensitive=true) | list
r | unique(attribute='k') | map(attribute='v') | list
d | dictsort
d | dictsort(true)
d | dictsort(case_sensitive=true)
{'b': 1, 'a': 2} | dictsort(false, 'value', true)
{'b': 1, 'a': 2} | dictsort(by='value')
{'b': 1, 'a': 2} | dictsort(reverse=true)
{'b': 'x', 'a': 'Y'} | dictsort(by='value')
d | items | list
n | items | list
x | items | list
l | batch(2) | list
l | batch(2, 'x') | list
l | batch(linecount=2, fill_with=0) | list
l | slice(2) | list
l | slice(2, 'x') | list
l | slice(slices=2) | list
range(10) | slice(3) | list
l | select | list
l | select('odd') | list
l | select('gt', 1) | list
l | select('>', 1) | list
l | reject('odd') | list
[0, 1, '', 'a', none] | select | list
[0, 1, '', 'a', none] | reject | list
r | selectattr('v', 'equalto', 2) | map(attribute='k') | list
r | selectattr('v') | list | length
r | selectattr('in.z', 'eq', 1) | list | length
r | rejectattr('v', '==', 2) | map(attribute='k') | list
r | selectattr('k', 'in', ['x', 'y']) | list | length
r | selectattr('zz', 'defined') | list
r | selectattr('zz', 'undefined') | list | length
w | map('upper') | list
w | map('default', 'x') | list
w | map('replace', 'a', 'z') | list
r | map(attribute='k') | list
r | map(attribute='zz', default='-') | list
r | map(attribute='in.z') | list
r | map('length') | list
[[1, 2], [3, 4]] | map('first') | list
[[1, 2], [3, 4]] | map(attribute=1) | list
w | map('int', default=3) | list
r | groupby('k') | list | length
r | groupby('k') | map(attribute='grouper') | list
r | groupby('k') | map('first') | list
r | groupby('zz', default='-') | map('first') | list
r | groupby('k', case_sensitive=true) | map('first') | list
r | attr('x')
i | abs
f | abs
f | round
2.567 | round(2)
2.567 | round(1, 'floor')
2.567 | round(1, method='ceil')
3.5 | round
4.5 | round
3 | round
1234 | round(-2)
2.5 | round | int
f | string
n | string
true | string
l | string
[1.0, 'a', none, true] | string
1.0
100000000000000000000
1e16
1e-5
0.1 + 0.2
1 / 3
true
none
[true, none, 1.0, 'x']
('a',)
('a', 1)
()
{}
[]
{'a': [1, {'b': 'c'}], 1: 2, none: 3, true: 4}
d | tojson
d | tojson(indent=2)
u | tojson
u | tojson(ensure_ascii=true)
l | tojson(separators=(',', ':'))
d | tojson(sort_keys=true)
{'z': 1, 'a': {'y': 2, 'b': 3}} | tojson(sort_keys=true, indent=1)
'<a> & \'b\'' | tojson
(1, 2) | tojson
1.0 | tojson
x | tojson
messages | tojson
n | tojson
[] | tojson(indent=2)
{} | tojson(indent=2)
123 | filesizeformat
1234567 | filesizeformat
1234567 | filesizeformat(true)
1 | filesizeformat
{'a': 1, 'b': none} | xmlattr
l | pprint
d | pprint
s is string
n is none
x is undefined
s is defined
1 is number
1.5 is float
1 is float
1 is integer
true is integer
true is boolean
true is number
true is true
false is false
1 is true
d is mapping
l is sequence
s is sequence
d is sequence
l is iterable
s is iterable
n is iterable
1 is iterable
1 is sameas 1
none is sameas none
true is sameas true
'a' is sameas 'a'
'abc' is lower
'ABC' is upper
2 is even
3 is odd
6 is divisibleby 3
6 is divisibleby(4)
2 is eq 2
2 is equalto 2
2 is ne 3
2 is lt 3
2 is gt 3
2 is ge 2
2 is le 2
2 is lessthan 3
3 is greaterthan 2
2 is in [1, 2]
2 is not in [1, 2]
'a' is in 'abc'
'upper' is filter
'nosuch' is filter
'even' is test
'<' is test
'<a>' | escape is escaped
s is not string
x is not defined
not s is defined
2 in l
9 not in l
'b' in d
'ell' in s
1 < 2 < 3
1 < 3 < 2
1 == 1.0
'a' == 'a'
'a' < 'b'
[1, 2] < [1, 3]
l == [3, 1, 2]
(1, 2) == (1, 2)
(1, 2) == [1, 2]
1 == true
none == false
d == {'a': 2, 'b': 1, 'C': none}
[1] + [2]
(1,) + (2,)
'a' * 3
3 * 'a'
[1] * 2
(1, 2) * 2
'a' + 'b'
'a' ~ 1 ~ none ~ true ~ 1.5
1 ~ 2 + 3
'x' ~ 1 + 2
1 + 2 ~ 3
true + 1
+3
- 3
--3
1 and 2
0 or 'x'
n or e or 'z'
n and x
not n
'a' if s
'a' if n
('a' if n) is defined
'a' if n else 'b' if e else 'c'
s[0]
s[-1]
s[1:4]
s[:3]
s[-5:]
s[::-1]
s[::2]
s[10:2:-2]
l[0]
l[-1]
l[1:]
l[::-1]
l[:-1]
l[5]
l[1:100]
d['a']
d.a
d['zz']
d.zz
d['zz'].y
r[0].k
r[0]['in']['z']
r[-1].k
messages[-1].tool_calls[0].function.arguments | tojson
messages[-1]['content'] == ''
messages | length
messages[1:] | length
messages | selectattr('role', 'equalto', 'user') | list | length
messages | map(attribute='role') | join(',')
messages[0] is mapping
messages[0].content is string
messages[9]
messages[9].role
x.y
x
x ~ 'a'
x + 1
x | length
x | upper
x == y
x is none
x or 'd'
x in l
range(3) | list
range(1, 4) | list
range(5, 0, -2) | list
range(3)
range(3)[1]
range(3) | length
dict(a=1, b=2)
dict(d, z=1)
dict([('a', 1)])
dict()
namespace(a=1).a
cycler('a', 'b').next()
joiner(', ')()
(1, 2, 3)[1]
(l)[0]
[1, 2,]
{'a': 1,}
{'a': 1}['a']
{'a': 1}.a
{"a": 1}.items() | list
1_000
0x1F
0b101
0o17
1.5e3
1e3
True and not False
None is none
'a' 'b'
'a' "b" 'c'
s.__len__()
l.__len__()
1.5.is_integer()
f.is_integer()
(2.0).is_integer()
i.bit_length()
(5).bit_length()
d.keys() | join(',')
d.values() | sum
d.items() | map('first') | list
'a' in ['a'] and 'b' not in ['a']
(l | length) > 2
l | length > 2
s | length == 17
'%.2f' | format(f) | length
s.split(', ')[1].split(' ')[-1]
s.strip().lower().replace('l', '').split()[0]
s.upper().lower | string | length > 0
messages[0]['content'].strip()
messages[0].get('content')
messages[0].get('name', 'anon')
messages[0].items() | list
messages[0].keys() | list
'name' in messages[0]
messages[2].content or 'empty'
messages[2].tool_calls is defined and messages[2].tool_calls
messages[2].tool_calls[0].function.name ~ '(' ~ messages[2].tool_calls[0].function.arguments | tojson ~ ')'
messages[2].tool_calls[0].function.arguments.items() | list
d | map('upper') | list
'a b'.split() | map('upper') | join(' ')
l | map('string') | join('+')
l | map('float') | list
'abc'[1]
'abc'[5]
'abc'[5] is defined
caller is defined
varargs is defined
true | lower
1 | upper
n | upper
n | lower
l | upper
[n, s] | select('string') | list
[1, [2, 3], 'a'] | string
'a\\b' | string
['a\'b', "a\"b", 'a\nb', '\x00\u200b'] | string
{'it\'s': 1} | string
1 | tojson(indent=none)
'x'.join([])
""" r"""
"""

# Whole templates.
TEMPLATES = [
    "{% block b %}in{% endblock %}",
    "{% block b %}in{% endblock b %}",
    "{% set a = 1 %}{% block b scoped %}{{ a }}{% endblock %}",
    "{%- block b -%} in {%- endblock -%} x",
    "{% block a %}1{% block b %}2{% endblock %}3{% endblock %}",
    "{% for m in l %}{% block b scoped %}{{ m }}{% endblock %}{% endfor %}",
    "{% set a = 1 %}{% block b %}{% set a = 2 %}{{ a }}{% endblock %}{{ a }}",
    "{% generation %}x{% endgeneration %}",
    "{%- generation -%} x {%- endgeneration -%} y",
    "{% for m in messages %}{% if m.role == 'user' %}{% generation %}{{ m.content }}{% endgeneration %}{% endif %}{% endfor %}",
    "{% raw %}{{ x % y }} '\\U0001F600' {% generation %}{% endraw %}",
    "{%- raw -%} {% block b %} {%- endraw -%} x",
    "{# '%s' % 'a' {% raw %} #}x",
    "{#- a -#} x",
    "a {%- if true %} b {%- endif %} c",
    "a\n{% if true %}\n  b\n{% endif %}\nc\n",
    "  {% if true %}\n  b\n  {% endif %}\nc",
    "  {%+ if true %}b{% endif %}",
    "{% if true -%}\n x\n{%- endif +%}\ny",
    "{{ 'a' -}}\n b {{- 'c' }}\n",
    "a\n",
    "a\n\n",
    "{{ 'a' }}\n",
    "{% for x in l %}{{ loop.index }}{{ loop.index0 }}{{ loop.first }}{{ loop.last }}{{ loop.length }}{{ loop.revindex }}{{ loop.revindex0 }}{{ loop.cycle('a', 'b') }}{{ loop.previtem }}{{ loop.nextitem }}{{ loop.depth }};{% endfor %}",
    "{% for x in l %}{{ loop.changed(x > 1) }},{% endfor %}",
    "{% for x in l if x > 1 %}{{ x }}{{ loop.index }}{% else %}none{% endfor %}",
    "{% for x in empty %}{{ x }}{% else %}none{% endfor %}",
    "{% for k, v in d.items() %}{{ k }}={{ v }};{% endfor %}",
    "{% for k, v in d | dictsort %}{{ k }}={{ v }};{% endfor %}",
    "{% for k in d %}{{ k }}{% endfor %}",
    "{% for a, (b, c) in [(1, (2, 3))] %}{{ a }}{{ b }}{{ c }}{% endfor %}",
    "{% for c in 'añ👩' %}{{ c }}.{% endfor %}",
    "{% for x in l %}{% if x == 1 %}{% continue %}{% endif %}{{ x }}{% endfor %}",
    "{% for x in l %}{% if x == 1 %}{% break %}{% endif %}{{ x }}{% endfor %}",
    "{% for x in range(3) recursive %}{{ x }}{% if x == 1 %}{{ loop([7]) }}{% endif %}{% endfor %}",
    "{% for x in [[1, [2]], [3]] recursive %}{% if x is iterable %}({{ loop(x) }}){% else %}{{ x }}{% endif %}{% endfor %}",
    "{% for g, items in r | groupby('k') %}{{ g }}:{% for x in items %}{{ x.v }}{% endfor %};{% endfor %}",
    "{% for g in r | groupby('k') %}{{ g.grouper }}:{{ g.list | length }};{% endfor %}",
    "{% for row in l | batch(2) %}{{ row | join(',') }};{% endfor %}",
    "{% for x in l | reverse %}{{ x }}{% endfor %}",
    "{% for x in (1, 2) %}{{ x }}{% endfor %}",
    "{% for x in 1, 2 %}{{ x }}{% endfor %}",
    "{% for x in messages[::-1] %}{{ x.role }} {% endfor %}",
    "{% for x in messages[1:] if x.role != 'user' %}{{ x.role }} {{ loop.length }}{% endfor %}",
    "{% for i in range(10) %}{% if i % 3 == 0 %}{{ i }}{% endif %}{% endfor %}",
    "{% for m in messages %}{% if (m.role == 'user') != (loop.index0 % 2 == 1) %}{{ raise_exception('x') }}{% endif %}{{ loop.index0 % 2 }}{% endfor %}",
    "{% for i in range(4) %}{{ '%02d ' % i }}{% endfor %}",
    "{% set x = 1 %}{% for i in l %}{% set x = i %}{% endfor %}{{ x }}",
    "{% set ns = namespace(x=0) %}{% for i in l %}{% set ns.x = ns.x + i %}{% endfor %}{{ ns.x }}",
    "{% set ns = namespace(a=[], b='') %}{% for i in l %}{% set ns.a = ns.a + [i] %}{% set ns.b = ns.b ~ i %}{% endfor %}{{ ns.a }}{{ ns.b }}",
    "{% set ns = namespace({'a': 1}, b=2) %}{{ ns.a }}{{ ns.b }}",
    "{% set a, b = 1, 2 %}{{ a }}{{ b }}",
    "{% set a = 1, 2 %}{{ a }}",
    "{% set (a, b) = (1, 2) %}{{ a + b }}",
    "{% set x %}  {{ s }} {% endset %}[{{ x }}]",
    "{% set x | upper %}abc{% endset %}{{ x }}",
    "{% set x | trim | length %} abc {% endset %}{{ x }}",
    "{% set x = 'a' if n else 'b' %}{{ x }}",
    "{% if l %}a{% elif d %}b{% else %}c{% endif %}",
    "{% if not o %}a{% endif %}{% if e or n or 0 %}b{% else %}c{% endif %}",
    "{% macro m(a, b=2, c='x') %}{{ a }}{{ b }}{{ c }}{% endmacro %}{{ m(1) }}{{ m(1, c='y') }}{{ m(a=3, b=4) }}",
    "{% macro m() %}{{ varargs }}{{ kwargs }}{% endmacro %}{{ m(1, 2, a=3) }}",
    "{% macro m(a) %}{{ a }}{{ caller() }}{% endmacro %}{% call m(1) %}in{% endcall %}",
    "{% macro m() %}{{ caller(1, 2) }}{% endmacro %}{% call(a, b) m() %}{{ a }}{{ b }}{% endcall %}",
    "{% macro m(a) -%}{{ a | upper }}{%- endmacro %}{{ m('x') ~ 'y' }}{{ m('x') | length }}",
    "{% macro m(a) %}{{ a }}{% endmacro %}{{ m() }}|{{ m(n) }}|{{ m.name }}{{ m.arguments }}",
    "{% macro f(n) %}{% if n > 0 %}{{ n }}{{ f(n - 1) }}{% endif %}{% endmacro %}{{ f(3) }}",
    "{% macro m(a, b=a) %}{{ b }}{% endmacro %}{{ m(1) }}",
    "{% macro m() %}{{ g }}{% endmacro %}{% set g = 1 %}{{ m() }}",
    "{% macro m() %}a{% endmacro %}{{ m is callable }}{{ m is defined }}",
    "{% macro m(x) %}{% set y = x %}{{ y }}{% endmacro %}{{ m(1) }}{{ y is defined }}",
    "{% filter upper %}a{{ s }}{% endfilter %}",
    "{% filter replace('a', 'b') | upper %}abc{% endfilter %}",
    "{% with a = 1, b = 2 %}{{ a }}{{ b }}{% endwith %}{{ a is defined }}",
    "{% with %}{% set a = 1 %}{{ a }}{% endwith %}{{ a is defined }}",
    "{% autoescape true %}{{ '<a>' }}{% endautoescape %}{{ '<a>' }}",
    "{{ messages[1].content }}",
    "{{ messages[1].content | escape }}",
    "{% set x = '<b>' | safe %}{{ x ~ '<a>' }}{{ x + '<a>' }}",
    "{{ '%s' | safe | format('<a>') }}",
    "{% if 'a' is string and not 'a' is number %}y{% endif %}",
    "{% if messages[0]['role'] == 'system' %}{% set loop_messages = messages[1:] %}{% else %}{% set loop_messages = messages %}{% endif %}{{ loop_messages | length }}",
    "{{ raise_exception('no') }}",
    "{{ undefined_function() }}",
    "{{ x.y.z }}",
    "{{ n.y }}",
    "{{ s.nosuch }}",
    "{{ s.nosuch() }}",
    "{{ d.nosuch() }}",
    "{{ 'a' + 1 }}",
    "{{ 1 + none }}",
    "{{ n | length }}",
    "{{ l | nosuch }}",
    "{{ l is nosuch }}",
    "{% do l.append(1) %}",
    "{% set _ = l.append(1) %}",
    "{% include 'x' %}",
    "{%- set today = strftime_now('%Y') -%}{{ today | length }}",
    "{%- if strftime_now is defined %}{{ strftime_now('%d %b %Y') | length }}{% endif %}",
    "{{ bos_token }}{% if eos_token is defined %}{{ eos_token }}{% endif %}",
    "{{ self.b() }}{% block b %}x{% endblock %}",
    "{{ '{{' }}{{ '}}' }}{{ '{%' }}{{ '#}' }}",
    "{{ {'a': {'b': 1}}}}",
    "{{ {'a': {'b': 1}}['a']['b']}}",
    "{{'%d%%' % 50}}",
    "{%if 5%2==1%}odd{%endif%}",
    "{{5%2}}",
    "{{ '%s' %s }}",
    "{{ s[7 %3] }}{{ (8)%(3) }}{{ l[0]%2 }}",
    "{{ 10 % 4 if 7 % 2 else 9 % 5 }}",
    "{{ [5 % 3, 'a%s' % 1] | join('%') }}",
    "{{ '%s %s' % ('a' if yes else 'b', {'k': 1}['k']) }}",
    "{{ '%s' % s.split(', ')[0] | upper }}",
    "{{ '%s' % (s | upper) | lower }}",
    "{{ '%(a)s' % dict(a='%d' % 3) }}",
    "{{ 'a\\tb' }}{{ \"\\u2028\" | tojson }}",
    "{% set m %}{{ '%03d' % 7 }}{% endset %}{{ m }}",
    "{% for a in ['%s'] %}{{ a % loop.index }}{% endfor %}",
    "line {{ 1 }}\r\nnext\r\n",
    "{{ 'a\r\nb' }}",
]


def main():
    def pair(source):
        try:
            text = utils._compile_jinja_template(source).render(
                bos_token="<s>", eos_token="</s>", tools=None, documents=None, add_generation_prompt=True, **json.loads(json.dumps(CONTEXT)))
        except Exception as error:
            print(f"{source!r} fails: {error}")
            text = None
        return source, text

    expressions = [line for line in EXPRESSIONS.split("\n") if line.strip()]
    # The one expression of two lines.
    at = expressions.index("'a\\")
    expressions[at:at + 2] = ["\n".join(expressions[at:at + 2])]
    sources = ["{{ " + line + " }}" for line in expressions] + TEMPLATES
    pairs = ",\n".join(json.dumps(pair(source), ensure_ascii=False) for source in sources)
    context = json.dumps(CONTEXT, ensure_ascii=False)
    path = pathlib.Path(__file__).parent / "vectors.json"
    path.write_text('{"context": ' + context + ',\n"pairs": [\n' + pairs + "\n]}\n", encoding="utf-8")


main()
