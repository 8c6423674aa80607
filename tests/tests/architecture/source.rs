//! Rust source as a flat row of tokens, without what is compiled for tests only.

use std::{
    fs,
    path::{Path, PathBuf},
};

use proc_macro2::{Delimiter, Group, TokenStream, TokenTree};

use crate::root;

/// One source file.
pub(crate) struct Source {
    /// Its path from the workspace's root, with `/`.
    pub(crate) path: String,
    /// Its text.
    pub(crate) text: String,
}

/// One token that is compiled into the product.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Token {
    /// The token as text; `::` is one token, a group is its brackets with what is between them.
    pub(crate) text: String,
    /// Whether it is a literal.
    pub(crate) literal: bool,
    /// Its line, from 1.
    pub(crate) line: usize,
}

impl Source {
    /// Every Rust file below a folder of the workspace.
    pub(crate) fn below(folder: &str) -> Vec<Self> {
        let root = root();
        let mut paths = Vec::new();
        collect(&root.join(folder), &mut paths);
        assert!(!paths.is_empty(), "{folder} has no Rust files: the folder was renamed?");
        paths.sort();
        paths.iter().map(|path| Self::read(&root, path)).collect()
    }

    fn read(root: &Path, path: &Path) -> Self {
        let text = fs::read_to_string(path).expect("a source file can be read");
        let inside = path.strip_prefix(root).expect("the file lies below the root");
        Self { path: inside.to_string_lossy().replace('\\', "/"), text }
    }

    /// A piece of source that lies in no file.
    pub(crate) fn example(text: &str) -> Self {
        Self { path: "example.rs".into(), text: text.into() }
    }

    /// The tokens outside `#[cfg(test)]` items, comments and documentation.
    pub(crate) fn tokens(&self) -> Vec<Token> {
        let stream: TokenStream = self.text.parse().unwrap_or_else(|error| panic!("{}: {error}", self.path));
        let mut tokens = Vec::new();
        flatten(stream, &mut tokens);
        tokens
    }
}

fn collect(folder: &Path, paths: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a source folder can be listed") {
        let path = entry.expect("a folder's entry can be read").path();
        if path.is_dir() {
            collect(&path, paths);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            paths.push(path);
        }
    }
}

fn flatten(stream: TokenStream, tokens: &mut Vec<Token>) {
    let mut trees = stream.into_iter().peekable();
    while let Some(tree) = trees.next() {
        match &tree {
            TokenTree::Punct(hash) if hash.as_char() == '#' => {
                // An inner attribute has a `!` between the `#` and its group.
                let inner = matches!(trees.peek(), Some(TokenTree::Punct(bang)) if bang.as_char() == '!');
                if inner {
                    trees.next();
                }
                match trees.next() {
                    Some(TokenTree::Group(attribute)) if is_doc(&attribute) => {}
                    Some(TokenTree::Group(attribute)) if is_for_tests(&attribute) && !inner => skip_item(&mut trees),
                    Some(other) => flatten(TokenStream::from(other), tokens),
                    None => {}
                }
            }
            TokenTree::Punct(colon) if colon.as_char() == ':' => {
                let double = matches!(trees.peek(), Some(TokenTree::Punct(next)) if next.as_char() == ':');
                if double {
                    trees.next();
                }
                push(tokens, if double { "::" } else { ":" }, &tree);
            }
            TokenTree::Group(group) => flatten_group(group, &tree, tokens),
            other => push(tokens, &other.to_string(), &tree),
        }
    }
}

fn flatten_group(group: &Group, tree: &TokenTree, tokens: &mut Vec<Token>) {
    let (open, close) = match group.delimiter() {
        Delimiter::Brace => ("{", "}"),
        Delimiter::Bracket => ("[", "]"),
        Delimiter::Parenthesis => ("(", ")"),
        Delimiter::None => ("", ""),
    };
    push(tokens, open, tree);
    flatten(group.stream(), tokens);
    push(tokens, close, tree);
}

fn push(tokens: &mut Vec<Token>, text: &str, tree: &TokenTree) {
    let literal = matches!(tree, TokenTree::Literal(_));
    tokens.push(Token { text: text.into(), literal, line: tree.span().start().line });
}

fn is_doc(attribute: &Group) -> bool {
    attribute.stream().into_iter().next().is_some_and(|first| first.to_string() == "doc")
}

/// Whether the attribute keeps its item out of every build without tests. `direction` sees to it that no such build has the
/// feature `mutants`.
fn is_for_tests(attribute: &Group) -> bool {
    let condition = attribute.stream().to_string().replace(' ', "");
    condition == "cfg(test)" || condition == "cfg(feature=\"mutants\")"
}

/// Skips the item that an attribute belongs to: up to its body's end, or its semicolon.
fn skip_item(trees: &mut impl Iterator<Item = TokenTree>) {
    for tree in trees {
        match tree {
            TokenTree::Group(group) if group.delimiter() == Delimiter::Brace => return,
            TokenTree::Punct(punct) if punct.as_char() == ';' => return,
            _ => {}
        }
    }
}

#[test]
fn tokens_leave_out_tests_comments_and_documentation() {
    let source = Source::example(
        "//! doc\n/// doc\n#[derive(Debug)] struct A; // why\n#[cfg(test)] mod t { fn f() {} }\n#[cfg(test)] use x;\n#[cfg(feature = \"mutants\")] mod m { use std::fs; }\nfn g() { a::b(\"c\") }",
    );
    let tokens: Vec<String> = source.tokens().into_iter().map(|token| token.text).collect();
    let expected = "[ derive ( Debug ) ] struct A ; fn g ( ) { a :: b ( \"c\" ) }";
    assert_eq!(tokens.join(" "), expected);
    assert_eq!(source.tokens().last().map(|token| token.line), Some(7));
}
