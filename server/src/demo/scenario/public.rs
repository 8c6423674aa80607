//! Reading an account as one of its users would: by the platform's public interface, with a user's token.

use std::collections::BTreeMap;

use reqwest::Method;
use serde_json::{Map, Value as Json};
use syncline_sandbox::Running;

use super::{Account, fields::FIELDS};
use crate::demo::{DemoError, web::Web};

/// One object as the platform shows it to its users.
#[derive(Clone, Debug, Default, PartialEq)]
pub(in crate::demo) struct Shown {
    /// The value of our key field.
    pub(in crate::demo) key: Option<String>,
    /// The values by the platform's names.
    pub(in crate::demo) fields: Map<String, Json>,
}

/// The live objects of an account by id.
pub(in crate::demo) type Objects = BTreeMap<String, Shown>;

/// The most rows of a page of the second platform.
const ROWS_MAX: usize = 100;

/// Every live object of the first platform, by its query language.
pub(super) fn by_query<'a>(web: &'a Web, account: &'a Account, running: &'a Running) -> super::Reading<'a> {
    Box::pin(async move {
        let names = names(account, 0).join(", ");
        let query = format!("SELECT Id, {names} FROM {}", account.object);
        let mut url = url::Url::parse(&format!("{}/services/data/v62.0/query", running.base_url))
            .map_err(|error| DemoError::Call(error.to_string()))?;
        url.query_pairs_mut().append_pair("q", &query);
        let (mut objects, mut next) = (Objects::new(), Some(url.to_string()));
        while let Some(url) = next.take() {
            let page = web.ask(Method::GET, &url, Some(&running.credentials.user_token), None).await?;
            for row in page["records"].as_array().into_iter().flatten() {
                objects.insert(text(&row["Id"]), shown(row, account));
            }
            next = page["nextRecordsUrl"].as_str().map(|path| format!("{}{path}", running.base_url));
        }
        Ok(objects)
    })
}

/// Every live object of the second platform, page by page.
pub(super) fn by_list<'a>(web: &'a Web, account: &'a Account, running: &'a Running) -> super::Reading<'a> {
    Box::pin(async move {
        let names = names(account, 1).join(",");
        let base =
            format!("{}/crm/v3/objects/{}?limit={ROWS_MAX}&properties={names}", running.base_url, account.object);
        let (mut objects, mut after) = (Objects::new(), Some(String::new()));
        while let Some(place) = after.take() {
            let url = if place.is_empty() { base.clone() } else { format!("{base}&after={place}") };
            let page = web.ask(Method::GET, &url, Some(&running.credentials.user_token), None).await?;
            for row in page["results"].as_array().into_iter().flatten() {
                objects.insert(text(&row["id"]), shown(&row["properties"], account));
            }
            after = page["paging"]["next"]["after"].as_str().map(str::to_owned);
        }
        Ok(objects)
    })
}

fn names(account: &Account, place: usize) -> Vec<&'static str> {
    FIELDS.iter().map(|field| field.remote[place]).chain([account.key]).collect()
}

fn shown(row: &Json, account: &Account) -> Shown {
    let fields = row.as_object().cloned().unwrap_or_default();
    Shown { key: fields.get(account.key).and_then(Json::as_str).map(str::to_owned), fields }
}

fn text(value: &Json) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
