//! From the text of a query to its tokens.

use jiff::civil::Date;
use rust_decimal::Decimal;

use super::super::normalise::parse_datetime;
use crate::clock::Micros;

/// A token of SOQL.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Token {
    /// A name, path or keyword; `Account.Name` is one token.
    Word(String),
    /// A text in single quotes, unescaped.
    Text(String),
    Number(Decimal),
    Date(Date),
    DateTime(Micros),
    /// `=`, `!=`, `<`, `<=`, `>` or `>=` (`<>` is read as `!=`).
    Operator(&'static str),
    Open,
    Close,
    Comma,
    Colon,
}

impl Token {
    /// How an error message shows it.
    pub(super) fn shown(&self) -> String {
        match self {
            Self::Word(word) => word.clone(),
            Self::Text(text) => format!("'{text}'"),
            Self::Number(number) => number.to_string(),
            Self::Date(date) => date.to_string(),
            Self::DateTime(at) => at.timestamp().to_string(),
            Self::Operator(operator) => (*operator).to_owned(),
            Self::Open => "(".to_owned(),
            Self::Close => ")".to_owned(),
            Self::Comma => ",".to_owned(),
            Self::Colon => ":".to_owned(),
        }
    }
}

/// Splits a query into tokens, or says what is wrong with it.
pub(super) fn tokens(text: &str) -> Result<Vec<Token>, String> {
    let mut tokens = Vec::new();
    let mut rest = text;
    loop {
        rest = rest.trim_start();
        let Some(first) = rest.chars().next() else { return Ok(tokens) };
        let (token, after) = match first {
            '(' => (Token::Open, &rest[1..]),
            ')' => (Token::Close, &rest[1..]),
            ',' => (Token::Comma, &rest[1..]),
            ':' => (Token::Colon, &rest[1..]),
            '\'' => text_literal(&rest[1..])?,
            '=' | '!' | '<' | '>' => operator(rest)?,
            '-' | '+' | '0'..='9' => literal(rest)?,
            letter if letter.is_ascii_alphabetic() || letter == '_' => word(rest),
            other => return Err(format!("unexpected token: '{other}'")),
        };
        tokens.push(token);
        rest = after;
    }
}

fn split_while(text: &str, belongs: impl Fn(char) -> bool) -> (&str, &str) {
    text.split_at(text.find(|letter| !belongs(letter)).unwrap_or(text.len()))
}

fn word(text: &str) -> (Token, &str) {
    let (word, rest) = split_while(text, |letter| letter.is_ascii_alphanumeric() || matches!(letter, '_' | '.'));
    (Token::Word(word.to_owned()), rest)
}

fn operator(text: &str) -> Result<(Token, &str), String> {
    for (written, meant) in [("<>", "!="), ("!=", "!="), ("<=", "<="), (">=", ">="), ("<", "<"), (">", ">"), ("=", "=")]
    {
        if let Some(rest) = text.strip_prefix(written) {
            return Ok((Token::Operator(meant), rest));
        }
    }
    Err("unexpected token: '!'".to_owned())
}

fn text_literal(text: &str) -> Result<(Token, &str), String> {
    let mut value = String::new();
    let mut letters = text.char_indices();
    while let Some((place, letter)) = letters.next() {
        match letter {
            '\'' => return Ok((Token::Text(value), &text[place + 1..])),
            '\\' => match letters.next().map(|(_, escaped)| escaped) {
                Some('n' | 'N') => value.push('\n'),
                Some('r' | 'R') => value.push('\r'),
                Some('t' | 'T') => value.push('\t'),
                Some('b' | 'B') => value.push('\u{8}'),
                Some('f' | 'F') => value.push('\u{c}'),
                // Kept with their backslash: only LIKE gives these two a meaning.
                Some(wildcard @ ('%' | '_')) => value.extend(['\\', wildcard]),
                Some(quoted @ ('\'' | '"' | '\\')) => value.push(quoted),
                Some(other) => return Err(format!("Illegal string literal: Invalid string literal '\\{other}'")),
                None => break,
            },
            other => value.push(other),
        }
    }
    Err("unexpected end of query: a text literal is not closed".to_owned())
}

fn literal(text: &str) -> Result<(Token, &str), String> {
    let belongs = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '.' | ':' | '+' | '-');
    let (written, rest) = split_while(text, belongs);
    let token = if let Ok(number) = written.parse::<Decimal>() {
        Some(Token::Number(number))
    } else if written.contains('T') {
        parse_datetime(written).map(Token::DateTime)
    } else if let Ok(date) = written.parse::<Date>() {
        Some(Token::Date(date))
    } else {
        Decimal::from_scientific(written).ok().map(Token::Number)
    };
    token.map(|token| (token, rest)).ok_or_else(|| format!("unexpected token: '{written}'"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_is_split_into_tokens() {
        let query = r"WHERE a.B__c >= 2026-05-05T10:00:00.000+0000 AND c<>'O\'Brien' AND (n = -1.5 OR d < 2026-01-02)";
        let shown: Vec<_> = tokens(query).unwrap().iter().map(Token::shown).collect();
        let expected = [
            "WHERE",
            "a.B__c",
            ">=",
            "2026-05-05T10:00:00Z",
            "AND",
            "c",
            "!=",
            "'O'Brien'",
            "AND",
            "(",
            "n",
            "=",
            "-1.5",
            "OR",
            "d",
            "<",
            "2026-01-02",
            ")",
        ];
        assert_eq!(shown, expected);
    }

    #[test]
    fn what_is_no_token_is_refused() {
        for query in ["'open", "a ! b", "2026-13-01", "2026-05-05T10:00:00 00:00 ?", r"'\q'", "a # b"] {
            assert!(tokens(query).is_err(), "{query}");
        }
    }
}
