"""Markdown as it is read here."""

from tq_contract.prose import Block, Piece, blocks, first_cells, prose, sentences, spans

DOCUMENT = """# A heading with `code`

First sentence. Second one
ends here. Third.
- An item that
  goes on
- Another

```bash
make demo
tq-mlx  # not `a span`
```

| Preset | bits |
|---|---|
| `one` | 4 |
| two | 3 |

~~~
no language
~~~
``a `tick` inside``
```python
```
"""


def test_blocks_with_the_line_of_their_first_line():
    assert list(blocks(DOCUMENT)) == [
        Block(10, "make demo\ntq-mlx  # not `a span`", "bash"),
        Block(20, "no language", ""),
        Block(24, "", "python"),
    ]
    assert DOCUMENT.splitlines()[9] == "make demo"


def test_a_block_ends_where_nothing_but_its_marks_stands_or_never():
    assert list(blocks("```\n```bash\n````")) == [Block(2, "```bash", "")]
    assert list(blocks("````\na\n```")) == [Block(2, "a\n```", "")]
    assert prose("text\n```\nmake nothing\n") == ["text", "", ""]


def test_prose_keeps_the_lines_numbers():
    lines = prose(DOCUMENT)
    assert len(lines) == len(DOCUMENT.splitlines())
    assert lines[8:12] == [""] * 4
    assert lines[13] == "| Preset | bits |"


def test_spans():
    assert list(spans(DOCUMENT)) == [Piece(1, "code"), Piece(16, "one"), Piece(22, "a `tick` inside")]


def test_first_cells_of_the_tables_headed_so():
    assert list(first_cells(DOCUMENT, "preset")) == [Piece(16, "`one`"), Piece(17, "two")]
    assert list(first_cells(DOCUMENT, "bits")) == []


def test_sentences_span_lines_but_not_items_or_rows():
    assert list(sentences(DOCUMENT))[:9] == [
        Piece(1, "# A heading with `code`"),
        Piece(3, "First sentence."),
        Piece(3, "Second one ends here."),
        Piece(4, "Third."),
        Piece(5, "- An item that goes on"),
        Piece(7, "- Another"),
        Piece(14, "| Preset | bits |"),
        Piece(15, "|---|---|"),
        Piece(16, "| `one` | 4 |"),
    ]
