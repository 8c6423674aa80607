//! The two forms of a comment, each derived from the other: text, and HTML that was cleaned.

/// Elements of which nothing is kept, not even what stands in them.
const REMOVED: [&str; 3] = ["script", "style", "iframe"];

/// The HTML of a text: a paragraph for each block of lines.
pub(crate) fn html_of(text: &str) -> String {
    let escaped = text.replace("\r\n", "\n").replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    let blocks = escaped.split("\n\n").filter(|block| !block.trim().is_empty());
    let paragraphs: String =
        blocks.map(|block| format!("<p dir=\"auto\">{}</p>", block.trim().replace('\n', "<br>"))).collect();
    wrapped(&paragraphs)
}

fn wrapped(inner: &str) -> String {
    format!("<div class=\"zd-comment\" dir=\"auto\">{inner}</div>")
}

/// HTML as it is kept: without what could run.
pub(crate) fn cleaned(html: &str) -> String {
    let mut kept = String::with_capacity(html.len());
    walk(html, |piece| match piece {
        Piece::Text(text) => kept.push_str(text),
        Piece::Tag(tag) => match tag.find(" on").filter(|_| tag.contains('=')) {
            // An attribute that runs goes, and what follows it.
            Some(at) => kept.extend([&tag[..at], ">"]),
            None => kept.push_str(tag),
        },
    });
    wrapped(&kept)
}

/// The text of HTML.
pub(crate) fn text_of(html: &str) -> String {
    let mut text = String::with_capacity(html.len());
    walk(html, |piece| match piece {
        Piece::Text(part) => text.push_str(part),
        Piece::Tag("<br>" | "<br/>" | "<br />") => text.push('\n'),
        Piece::Tag("</p>" | "</div>" | "</li>") => text.push_str("\n\n"),
        Piece::Tag(_) => {}
    });
    let text = text.replace("&lt;", "<").replace("&gt;", ">").replace("&nbsp;", " ").replace("&amp;", "&");
    text.trim().to_owned()
}

enum Piece<'h> {
    Text(&'h str),
    Tag(&'h str),
}

/// Goes through HTML, tag by tag, and leaves out the removed elements.
fn walk<'h>(html: &'h str, mut visit: impl FnMut(Piece<'h>)) {
    let mut rest = html;
    while let Some(open) = rest.find('<') {
        visit(Piece::Text(&rest[..open]));
        let Some(length) = rest[open..].find('>') else {
            rest = "";
            break;
        };
        let tag = &rest[open..=open + length];
        rest = &rest[open + length + 1..];
        let name = tag.trim_start_matches('<').split(|c: char| !c.is_ascii_alphanumeric()).next().unwrap_or_default();
        match REMOVED.iter().find(|removed| removed.eq_ignore_ascii_case(name)) {
            Some(removed) => {
                let end = format!("</{removed}>");
                rest = rest.find(&end).map_or("", |at| &rest[at + end.len()..]);
            }
            None => visit(Piece::Tag(tag)),
        }
    }
    visit(Piece::Text(rest));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_becomes_html_and_back() {
        let html = html_of("a < b & c\r\nnext\n\nlast");
        assert_eq!(
            html,
            "<div class=\"zd-comment\" dir=\"auto\"><p dir=\"auto\">a &lt; b &amp; c<br>next</p><p dir=\"auto\">last</p></div>"
        );
        assert_eq!(text_of(&html), "a < b & c\nnext\n\nlast");
    }

    #[test]
    fn what_could_run_is_removed() {
        for (html, kept, text) in [
            ("<p>a<script>x()</script>b</p>", "<p>ab</p>", "ab"),
            ("<b onclick=\"x()\">a</b>", "<b>a</b>", "a"),
            ("<script>never closed", "", ""),
            ("a <unclosed", "a ", "a"),
        ] {
            assert_eq!(cleaned(html), wrapped(kept), "{html}");
            assert_eq!(text_of(html), text, "{html}");
        }
    }
}
