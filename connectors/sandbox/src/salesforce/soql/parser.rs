//! From tokens to the shape of a query, by recursive descent.

use super::lexer::{Token, tokens};
use super::syntax::{
    Aggregate, AggregateFunction, Comparison, DaySpan, FieldGroup, Filter, Item, Literal, Order, Query, Select,
};

/// How deep conditions may be nested, so that a hostile query cannot exhaust the stack.
const DEPTH_MAX: usize = 100;

/// Reads a query, or says what is wrong with it.
pub(super) fn parse(text: &str) -> Result<Query, String> {
    let mut parser = Parser { tokens: tokens(text)?, place: 0, depth: 0 };
    let query = parser.query()?;
    match parser.peek() {
        None => Ok(query),
        Some(token) => Err(unexpected(token)),
    }
}

fn unexpected(token: &Token) -> String {
    format!("unexpected token: '{}'", token.shown())
}

struct Parser {
    tokens: Vec<Token>,
    place: usize,
    depth: usize,
}

type Parsed<T> = Result<T, String>;

impl Parser {
    fn query(&mut self) -> Parsed<Query> {
        self.expect_word("SELECT")?;
        let select = self.select()?;
        self.expect_word("FROM")?;
        let from = self.name()?;
        self.skip_alias();
        if self.take_words(&["USING", "SCOPE"]) {
            self.name()?;
        }
        let filter = if self.take_word("WHERE") { Some(self.condition()?) } else { None };
        self.take_words(&["WITH", "SECURITY_ENFORCED"]);
        let order = if self.take_words(&["ORDER", "BY"]) { self.list(Self::order)? } else { Vec::new() };
        let limit = if self.take_word("LIMIT") { Some(self.count()?) } else { None };
        let offset = if self.take_word("OFFSET") { self.count()? } else { 0 };
        while self.take_word("FOR") {
            self.name()?;
        }
        Ok(Query { select, from, filter, order, limit, offset })
    }

    fn select(&mut self) -> Parsed<Select> {
        let mut items = Vec::new();
        let mut aggregates = Vec::new();
        loop {
            let name = self.name()?;
            if !self.take(&Token::Open) {
                items.push(Item::Path(name));
            } else if name.eq_ignore_ascii_case("FIELDS") {
                items.push(Item::Group(self.field_group()?));
            } else if name.eq_ignore_ascii_case("COUNT") && self.take(&Token::Close) {
                return Ok(Select::Count);
            } else {
                aggregates.push(self.aggregate(&name)?);
            }
            if !self.take(&Token::Comma) {
                break;
            }
        }
        match (items.is_empty(), aggregates.is_empty()) {
            (_, true) => Ok(Select::Items(items)),
            (true, false) => Ok(Select::Aggregates(aggregates)),
            (false, false) => Err("Field must be grouped or aggregated".to_owned()),
        }
    }

    fn field_group(&mut self) -> Parsed<FieldGroup> {
        let name = self.name()?;
        self.expect(&Token::Close)?;
        match name.to_ascii_uppercase().as_str() {
            "ALL" => Ok(FieldGroup::All),
            "STANDARD" => Ok(FieldGroup::Standard),
            "CUSTOM" => Ok(FieldGroup::Custom),
            other => Err(format!("Unknown FIELDS() argument: {other}")),
        }
    }

    fn aggregate(&mut self, name: &str) -> Parsed<Aggregate> {
        let function = match name.to_ascii_uppercase().as_str() {
            "COUNT" => AggregateFunction::Count,
            "MIN" => AggregateFunction::Min,
            "MAX" => AggregateFunction::Max,
            _ => return Err(format!("unexpected token: '{name}'")),
        };
        let path = self.name()?;
        self.expect(&Token::Close)?;
        let named = matches!(self.peek(), Some(Token::Word(word)) if !is_word(word, "FROM"));
        let alias = if named { Some(self.name()?) } else { None };
        Ok(Aggregate { function, path, alias })
    }

    fn condition(&mut self) -> Parsed<Filter> {
        let first = self.negation()?;
        for (word, combine) in [("AND", Filter::And as fn(Vec<Filter>) -> Filter), ("OR", Filter::Or)] {
            if !self.at_word(word) {
                continue;
            }
            let mut parts = vec![first];
            while self.take_word(word) {
                parts.push(self.negation()?);
            }
            // The language has no precedence between the two: mixing them needs parentheses.
            return match self.peek() {
                Some(token @ Token::Word(other)) if is_word(other, "AND") || is_word(other, "OR") => {
                    Err(unexpected(token))
                }
                _ => Ok(combine(parts)),
            };
        }
        Ok(first)
    }

    fn negation(&mut self) -> Parsed<Filter> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err("the query is nested too deeply".to_owned());
        }
        let filter = if self.take_word("NOT") {
            Filter::Not(Box::new(self.negation()?))
        } else if self.take(&Token::Open) {
            let inner = self.condition()?;
            self.expect(&Token::Close)?;
            inner
        } else {
            self.comparison()?
        };
        self.depth -= 1;
        Ok(filter)
    }

    fn comparison(&mut self) -> Parsed<Filter> {
        let path = self.name()?;
        if let Some(Token::Operator(written)) = self.peek().cloned() {
            self.place += 1;
            let operator = comparison(written);
            return Ok(Filter::Compare { path, operator, value: self.literal()? });
        }
        if self.take_word("LIKE") {
            return Ok(Filter::Compare { path, operator: Comparison::Like, value: self.literal()? });
        }
        let negated = self.take_word("NOT");
        if self.take_word("IN") {
            return Ok(Filter::In { path, negated, values: self.in_parentheses(Self::literal)? });
        }
        for (word, negated) in [("INCLUDES", false), ("EXCLUDES", true)] {
            if self.take_word(word) {
                return Ok(Filter::Includes { path, negated, values: self.in_parentheses(Self::text)? });
            }
        }
        Err(self.peek().map_or_else(|| "unexpected end of query".to_owned(), unexpected))
    }

    fn literal(&mut self) -> Parsed<Literal> {
        let literal = match self.next()? {
            Token::Text(text) => Literal::Text(text),
            Token::Number(number) => Literal::Number(number),
            Token::Date(date) => Literal::Date(date),
            Token::DateTime(at) => Literal::DateTime(at),
            Token::Word(word) => match word.to_ascii_uppercase().as_str() {
                "NULL" => Literal::Null,
                "TRUE" => Literal::Bool(true),
                "FALSE" => Literal::Bool(false),
                other => Literal::Days(self.day_span(other)?),
            },
            other => return Err(unexpected(&other)),
        };
        Ok(literal)
    }

    fn day_span(&mut self, name: &str) -> Parsed<DaySpan> {
        let span = |from, until| Ok(DaySpan { from, until });
        match name {
            "TODAY" => return span(0, 1),
            "YESTERDAY" => return span(-1, 0),
            "TOMORROW" => return span(1, 2),
            "LAST_N_DAYS" | "NEXT_N_DAYS" | "N_DAYS_AGO" => self.expect(&Token::Colon)?,
            other => return Err(format!("unexpected token: '{other}'")),
        }
        let days = i64::try_from(self.count()?).unwrap_or(i64::MAX).min(1_000_000);
        match name {
            "LAST_N_DAYS" => span(-days, 1),
            "NEXT_N_DAYS" => span(1, days + 1),
            _ => span(-days, 1 - days),
        }
    }

    fn order(&mut self) -> Parsed<Order> {
        let path = self.name()?;
        let descending = self.take_word("DESC");
        if !descending {
            self.take_word("ASC");
        }
        let nulls_last = if self.take_word("NULLS") {
            let last = self.take_word("LAST");
            if !last {
                self.expect_word("FIRST")?;
            }
            last
        } else {
            // Ascending or descending, nulls come first unless told otherwise.
            false
        };
        Ok(Order { path, descending, nulls_last })
    }

    fn in_parentheses<T>(&mut self, one: fn(&mut Self) -> Parsed<T>) -> Parsed<Vec<T>> {
        self.expect(&Token::Open)?;
        let list = self.list(one)?;
        self.expect(&Token::Close)?;
        Ok(list)
    }

    fn list<T>(&mut self, one: fn(&mut Self) -> Parsed<T>) -> Parsed<Vec<T>> {
        let mut list = vec![one(self)?];
        while self.take(&Token::Comma) {
            list.push(one(self)?);
        }
        Ok(list)
    }

    fn text(&mut self) -> Parsed<String> {
        match self.next()? {
            Token::Text(text) => Ok(text),
            other => Err(unexpected(&other)),
        }
    }

    fn count(&mut self) -> Parsed<usize> {
        match self.next()? {
            Token::Number(number) => number.to_string().parse().map_err(|_| unexpected(&Token::Number(number))),
            other => Err(unexpected(&other)),
        }
    }

    fn name(&mut self) -> Parsed<String> {
        match self.next()? {
            Token::Word(word) => Ok(word),
            other => Err(unexpected(&other)),
        }
    }

    /// Skips the alias of `FROM Contact c`; whoever uses it in a path is told that there is no such column.
    fn skip_alias(&mut self) {
        const AFTER: [&str; 8] = ["USING", "WHERE", "WITH", "ORDER", "LIMIT", "OFFSET", "FOR", "GROUP"];
        if let Some(Token::Word(word)) = self.peek()
            && !AFTER.iter().any(|keyword| is_word(word, keyword))
        {
            self.place += 1;
        }
    }

    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.place)
    }

    fn next(&mut self) -> Parsed<Token> {
        let token = self.peek().cloned().ok_or("unexpected end of query")?;
        self.place += 1;
        Ok(token)
    }

    fn take(&mut self, token: &Token) -> bool {
        let found = self.peek() == Some(token);
        self.place += usize::from(found);
        found
    }

    fn expect(&mut self, token: &Token) -> Parsed<()> {
        if self.take(token) {
            return Ok(());
        }
        let found = self.peek().map_or_else(|| "unexpected end of query".to_owned(), unexpected);
        Err(format!("expecting '{}', {found}", token.shown()))
    }

    fn at_word(&self, word: &str) -> bool {
        matches!(self.peek(), Some(Token::Word(found)) if is_word(found, word))
    }

    fn take_word(&mut self, word: &str) -> bool {
        let found = self.at_word(word);
        self.place += usize::from(found);
        found
    }

    fn take_words(&mut self, words: &[&str]) -> bool {
        let start = self.place;
        let found = words.iter().all(|word| self.take_word(word));
        if !found {
            self.place = start;
        }
        found
    }

    fn expect_word(&mut self, word: &str) -> Parsed<()> {
        if self.take_word(word) {
            return Ok(());
        }
        let found = self.peek().map_or_else(|| "unexpected end of query".to_owned(), unexpected);
        Err(format!("expecting '{word}', {found}"))
    }
}

fn is_word(found: &str, word: &str) -> bool {
    found.eq_ignore_ascii_case(word)
}

fn comparison(written: &str) -> Comparison {
    match written {
        "=" => Comparison::Equal,
        "!=" => Comparison::NotEqual,
        "<" => Comparison::Less,
        "<=" => Comparison::LessOrEqual,
        ">" => Comparison::Greater,
        _ => Comparison::GreaterOrEqual,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn real_queries_are_read() {
        for query in [
            "SELECT Id FROM Contact",
            "select id, account.name from contact c where email != null order by createddate desc nulls last limit 5",
            "SELECT FIELDS(ALL) FROM Contact LIMIT 200",
            "SELECT COUNT() FROM Contact WHERE NOT (Email LIKE '%x' AND Title IN ('a','b'))",
            "SELECT COUNT(Id) n, MAX(SystemModstamp) FROM Contact",
            "SELECT Id FROM Contact WHERE CreatedDate = LAST_N_DAYS:30 OR CreatedDate = TODAY",
            "SELECT Id FROM Contact WHERE Interests__c INCLUDES ('a;b','c') WITH SECURITY_ENFORCED OFFSET 2",
            "SELECT Id FROM Contact WHERE SystemModstamp >= 2026-05-05T00:00:00Z AND ((SystemModstamp = \
             2026-05-05T00:00:01.000+0000 AND Id > '003') OR SystemModstamp > 2026-05-05T00:00:01Z) \
             ORDER BY SystemModstamp ASC, Id ASC FOR VIEW",
        ] {
            parse(query).unwrap_or_else(|error| panic!("{query}: {error}"));
        }
    }

    #[test]
    fn what_is_no_query_is_refused() {
        for (query, says) in [
            ("", "expecting 'SELECT'"),
            ("SELECT FROM Contact", "expecting 'FROM'"),
            ("SELECT Id, FROM Contact", "expecting 'FROM'"),
            ("SELECT Id FROM Contact WHERE", "unexpected end of query"),
            ("SELECT Id FROM Contact WHERE a = 'x' AND b = 'y' OR c = 'z'", "unexpected token: 'OR'"),
            ("SELECT Id FROM Contact WHERE (a = 'x'", "expecting ')'"),
            ("SELECT Id FROM Contact LIMIT x", "unexpected token: 'x'"),
            ("SELECT Id FROM Contact GROUP BY Id", "unexpected token: 'GROUP'"),
            ("SELECT Id, COUNT(Id) FROM Contact", "must be grouped"),
            ("SELECT (SELECT Id FROM Contacts) FROM Account", "unexpected token: '('"),
        ] {
            let error = parse(query).unwrap_err();
            assert!(error.contains(says), "{query}: {error}");
        }
        let deep = format!("SELECT Id FROM Contact WHERE {}a = 1", "NOT ".repeat(10_000));
        assert!(parse(&deep).is_err());
    }
}
