//! The text of SOQL queries.

use std::collections::BTreeMap;

use syncline_core::{
    ids::{ExternalId, ObjectName},
    remote::{Key, PageRequest, ProviderError, Remedy},
};

use crate::rest::{Call, segment};

use super::settings::Settings;

/// Columns that every read asks for: identity, version and author.
const SYSTEM_COLUMNS: [&str; 4] = ["Id", "SystemModstamp", "LastModifiedById", "IsDeleted"];

/// Objects that can be merged, and so name their survivor.
const MERGEABLE: [&str; 5] = ["Account", "Contact", "Lead", "Case", "Individual"];

/// The longest identifier of any object or field, with room for relationship paths.
const IDENTIFIER_LEN_MAX: usize = 255;

/// The longest query inside an address, encoded; the rest of its 16,384 bytes is left for the path and headers.
const ADDRESS_LEN_MAX: usize = 12_000;

/// The columns of a query: the system's, then those asked for, each once.
pub(super) fn columns(object: &ObjectName, fields: &[String]) -> Result<Vec<String>, ProviderError> {
    identifier(object.as_str())?;
    let mut columns: Vec<String> = SYSTEM_COLUMNS.map(str::to_owned).to_vec();
    if MERGEABLE.iter().any(|name| name.eq_ignore_ascii_case(object.as_str())) {
        columns.push("MasterRecordId".to_owned());
    }
    for field in fields {
        identifier(field)?;
        if !columns.iter().any(|column| column.eq_ignore_ascii_case(field)) {
            columns.push(field.clone());
        }
    }
    Ok(columns)
}

/// The query of a page: rows of the window after the position, in the order (stamp, id).
pub(super) fn page(request: &PageRequest, columns: &[String]) -> String {
    let mut conditions = Vec::new();
    if request.deleted {
        conditions.push("IsDeleted = true".to_owned());
    }
    if let Some(window) = &request.window {
        conditions.push(format!("SystemModstamp >= {}", window.from.to_rfc3339()));
        conditions.push(format!("SystemModstamp < {}", window.until.to_rfc3339()));
    }
    if let Some(after) = &request.after {
        let (stamp, id) = (after.stamp.to_rfc3339(), quote(after.id.as_str()));
        conditions.push(format!("((SystemModstamp = {stamp} AND Id > {id}) OR SystemModstamp > {stamp})"));
    }
    let order = " ORDER BY SystemModstamp ASC, Id ASC";
    select(&request.object, columns, &conditions) + order
}

/// The query of objects by id.
pub(super) fn by_id<'a>(
    object: &ObjectName,
    columns: &[String],
    ids: impl IntoIterator<Item = &'a ExternalId>,
) -> String {
    let ids: Vec<String> = ids.into_iter().map(|id| quote(id.as_str())).collect();
    select(object, columns, &[format!("Id IN ({})", ids.join(","))])
}

/// Queries of live objects that match any of the searches. Searches of one field share a list of values; where the
/// conditions grow longer than an address holds, they are spread over several queries.
pub(super) fn find(
    object: &ObjectName,
    columns: &[String],
    searches: &[Vec<Key>],
) -> Result<Vec<String>, ProviderError> {
    for key in searches.iter().flatten() {
        identifier(&key.field)?;
    }
    let room = ADDRESS_LEN_MAX.saturating_sub(columns_len(columns));
    let mut queries = Vec::new();
    let mut chunk: Vec<&[Key]> = Vec::new();
    let mut len = 0;
    for search in searches.iter().filter(|search| !search.is_empty()) {
        let search_len = segment(&conjunction(search)).len() + 12;
        if !chunk.is_empty() && len + search_len > room {
            queries.push(found_by(object, columns, &chunk));
            (chunk, len) = (Vec::new(), 0);
        }
        chunk.push(search);
        len += search_len;
    }
    if !chunk.is_empty() {
        queries.push(found_by(object, columns, &chunk));
    }
    Ok(queries)
}

fn found_by(object: &ObjectName, columns: &[String], searches: &[&[Key]]) -> String {
    let mut lists: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    let mut conditions = Vec::new();
    for search in searches {
        match search {
            [key] => lists.entry(&key.field).or_default().push(quote(&key.value)),
            keys => conditions.push(format!("({})", conjunction(keys))),
        }
    }
    conditions.extend(lists.into_iter().map(|(field, values)| format!("{field} IN ({})", values.join(","))));
    format!("{} ORDER BY Id ASC", select(object, columns, &[conditions.join(" OR ")]))
}

fn conjunction(keys: &[Key]) -> String {
    keys.iter().map(|key| format!("{} = {}", key.field, quote(&key.value))).collect::<Vec<_>>().join(" AND ")
}

/// The call of a query. `all` shows deleted and merged rows as well.
pub(super) fn call(settings: &Settings, all: bool, soql: String) -> Call {
    Call::get(settings.path(if all { "/queryAll" } else { "/query" })).query("q", soql)
}

/// How long the columns are inside an address.
pub(super) fn columns_len(columns: &[String]) -> usize {
    segment(&columns.join(",")).len()
}

fn select(object: &ObjectName, columns: &[String], conditions: &[String]) -> String {
    let mut soql = format!("SELECT {} FROM {object}", columns.join(","));
    if !conditions.is_empty() {
        soql.push_str(" WHERE ");
        soql.push_str(&conditions.join(" AND "));
    }
    soql
}

/// Refuses names that are no identifiers, which would otherwise become part of the query's text.
pub(super) fn identifier(name: &str) -> Result<(), ProviderError> {
    let plain = |part: &str| {
        part.starts_with(|c: char| c.is_ascii_alphabetic())
            && part.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
    };
    if name.len() <= IDENTIFIER_LEN_MAX && name.split('.').all(plain) {
        return Ok(());
    }
    Err(ProviderError {
        remedy: Remedy::Configure,
        message: format!("`{name}` is no name of a Salesforce object or field: use its API name, such as `Status__c`"),
    })
}

/// A text literal.
fn quote(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('\'');
    for c in text.chars() {
        match c {
            '\'' => quoted.push_str("\\'"),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            '\u{8}' => quoted.push_str("\\b"),
            '\u{c}' => quoted.push_str("\\f"),
            other => quoted.push(other),
        }
    }
    quoted.push('\'');
    quoted
}

#[cfg(test)]
mod tests {
    use syncline_core::{
        remote::{Position, Window},
        time::Millis,
    };

    use super::*;

    fn request() -> PageRequest {
        PageRequest {
            object: "Contact".into(),
            fields: Vec::new(),
            window: None,
            after: None,
            token: None,
            deleted: false,
            limit: 2000,
        }
    }

    #[test]
    fn a_page_is_a_keyset_walk() {
        let window = Some(Window { from: Millis(1_777_977_120_000), until: Millis(1_777_977_180_000) });
        let after = Some(Position { stamp: Millis(1_777_977_121_000), id: "003A".into() });
        let cases = [
            (request(), ""),
            (
                PageRequest { window, ..request() },
                " WHERE SystemModstamp >= 2026-05-05T10:32:00.000Z AND SystemModstamp < 2026-05-05T10:33:00.000Z",
            ),
            (
                PageRequest { window, after: after.clone(), ..request() },
                " WHERE SystemModstamp >= 2026-05-05T10:32:00.000Z AND SystemModstamp < 2026-05-05T10:33:00.000Z \
                 AND ((SystemModstamp = 2026-05-05T10:32:01.000Z AND Id > '003A') \
                 OR SystemModstamp > 2026-05-05T10:32:01.000Z)",
            ),
            (
                PageRequest { after, deleted: true, ..request() },
                " WHERE IsDeleted = true AND ((SystemModstamp = 2026-05-05T10:32:01.000Z AND Id > '003A') \
                 OR SystemModstamp > 2026-05-05T10:32:01.000Z)",
            ),
        ];
        for (request, conditions) in cases {
            let soql = page(&request, &["Id".to_owned()]);
            assert_eq!(soql, format!("SELECT Id FROM Contact{conditions} ORDER BY SystemModstamp ASC, Id ASC"));
        }
    }

    #[test]
    fn columns_come_once() {
        let fields = ["Email", "systemmodstamp", "Email", "Account.Name"].map(str::to_owned);
        let columns = |object: &str| columns(&object.into(), &fields).expect("columns").join(",");
        assert_eq!(
            columns("Contact"),
            "Id,SystemModstamp,LastModifiedById,IsDeleted,MasterRecordId,Email,Account.Name"
        );
        assert_eq!(columns("Opportunity"), "Id,SystemModstamp,LastModifiedById,IsDeleted,Email,Account.Name");
    }

    #[test]
    fn no_text_leaves_its_literal() {
        assert_eq!(quote("O'Brien\\' OR Id != '"), "'O\\'Brien\\\\\\' OR Id != \\''");
        assert_eq!(quote("a\nb\r\tc"), "'a\\nb\\r\\tc'");
        let soql = found(&[&[("Email", "x' OR Name != '")]]);
        assert_eq!(soql, ["SELECT Id FROM Contact WHERE Email IN ('x\\' OR Name != \\'') ORDER BY Id ASC"]);
    }

    fn found(searches: &[&[(&str, &str)]]) -> Vec<String> {
        let key = |(field, value): &(&str, &str)| Key { field: (*field).to_owned(), value: (*value).to_owned() };
        let searches: Vec<Vec<Key>> = searches.iter().map(|keys| keys.iter().map(key).collect()).collect();
        find(&"Contact".into(), &["Id".to_owned()], &searches).expect("queries")
    }

    #[test]
    fn searches_share_a_query() {
        let searches: [&[(&str, &str)]; 4] =
            [&[("Email", "a")], &[("LastName", "b"), ("Phone", "1")], &[("Email", "c")], &[]];
        let expected = "SELECT Id FROM Contact WHERE (LastName = 'b' AND Phone = '1') OR Email IN ('a','c') \
                        ORDER BY Id ASC";
        assert_eq!(found(&searches), [expected]);
        assert!(found(&[]).is_empty());
        let long = "x".repeat(5_000);
        let long: [&[(&str, &str)]; 3] = [&[("Email", &long)], &[("Email", &long)], &[("Email", &long)]];
        assert_eq!(found(&long).len(), 2);
    }

    #[test]
    fn no_name_becomes_query_text() {
        for name in ["Id FROM User--", "a b", "", "1a", "a..b", "a,b", "a'b", "é", ".a"] {
            assert!(identifier(name).is_err(), "{name}");
        }
        for name in ["Contact", "Syncline_Id__c", "Account.Owner.Name", "ns__Field__c"] {
            assert!(identifier(name).is_ok(), "{name}");
        }
    }

    #[test]
    fn ids_are_quoted_once_each() {
        let ids = ["003A".into(), "003B".into()];
        let soql = by_id(&"Lead".into(), &["Id".to_owned()], &ids);
        assert_eq!(soql, "SELECT Id FROM Lead WHERE Id IN ('003A','003B')");
    }
}
