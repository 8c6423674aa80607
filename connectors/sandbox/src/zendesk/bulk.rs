//! Many rows at a time, and the jobs that do them.

use std::sync::Arc;

use axum::extract::State;
use serde_json::{Map, Value, json};

use super::account::ZendeskState;
use super::call::{Answer, Call, ok};
use super::errors::ApiError;
use super::jobs::Task;
use super::kind::Kind;
use super::normalise::number;

type Account = State<Arc<ZendeskState>>;

fn rows(list: Vec<Value>) -> Vec<Map<String, Value>> {
    let object = |row| match row {
        Value::Object(row) => row,
        _ => Map::new(),
    };
    list.into_iter().map(object).collect()
}

fn planned(account: &ZendeskState, call: &Call, ty: &'static str, tasks: Vec<Task>) -> Answer {
    let job = account.plan(&mut account.books(), ty, tasks, &call.caller)?;
    ok(json!({"job_status": job}))
}

/// `POST /{kind}/create_many`
pub(crate) async fn create(State(account): Account, call: Call) -> Answer {
    let kind = call.kind()?;
    let tasks = rows(call.list(kind.plural())?).into_iter().map(|row| Task::Create(kind, row)).collect();
    planned(&account, &call, "Bulk Create", tasks)
}

/// `PUT /{kind}/update_many`: rows with ids, or with `ids` in the query one row for all.
pub(crate) async fn update(State(account): Account, call: Call) -> Answer {
    let kind = call.kind()?;
    let tasks = if call.query("ids").is_some() {
        let body = call.object(kind.singular())?;
        call.ids("ids")?.into_iter().map(|id| Task::Update(kind, id, body.clone())).collect()
    } else {
        let rows = rows(call.list(kind.plural())?).into_iter();
        let task = |row: Map<String, Value>| {
            let id = row.get("id").and_then(number).ok_or_else(|| ApiError::missing("id"))?;
            Ok(Task::Update(kind, id, row))
        };
        rows.map(task).collect::<Result<Vec<_>, ApiError>>()?
    };
    planned(&account, &call, "Bulk Update", tasks)
}

/// `POST /{kind}/create_or_update_many`
pub(crate) async fn upsert(State(account): Account, call: Call) -> Answer {
    let kind = call.kind()?;
    let tasks = rows(call.list(kind.plural())?).into_iter().map(|row| Task::Upsert(kind, row)).collect();
    planned(&account, &call, "Bulk Create or Update", tasks)
}

/// `DELETE /{kind}/destroy_many?ids=`
pub(crate) async fn destroy(State(account): Account, call: Call) -> Answer {
    let kind = call.kind()?;
    let tasks = call.ids("ids")?.into_iter().map(|id| Task::Delete(kind, id)).collect();
    planned(&account, &call, "Bulk Delete", tasks)
}

/// `POST /tickets/{id}/merge`
pub(crate) async fn merge(State(account): Account, call: Call) -> Answer {
    let (into, ids) = (call.id()?, call.list("ids")?);
    if account.books().table(Kind::Tickets).live(into).is_none() {
        return Err(ApiError::not_found());
    }
    let tasks = ids.iter().filter_map(number).map(|from| Task::Merge(from, into)).collect();
    planned(&account, &call, "Ticket Merge", tasks)
}

/// `GET /job_statuses`
pub(crate) async fn jobs(State(account): Account, _: Call) -> Answer {
    let books = account.books();
    let jobs = account.all_jobs(&books);
    ok(json!({"count": jobs.len(), "job_statuses": jobs, "next_page": null, "previous_page": null}))
}

/// `GET /job_statuses/{id}`
pub(crate) async fn job(State(account): Account, call: Call) -> Answer {
    let books = account.books();
    let job = account.job(&books, call.param("id")).ok_or_else(ApiError::not_found)?;
    ok(json!({"job_status": job}))
}

/// `GET /job_statuses/show_many?ids=`
pub(crate) async fn show_jobs(State(account): Account, call: Call) -> Answer {
    let books = account.books();
    let ids = call.query("ids").ok_or_else(|| ApiError::missing("ids"))?;
    let jobs: Vec<Value> = ids.split(',').filter_map(|id| account.job(&books, id.trim())).collect();
    ok(json!({"job_statuses": jobs}))
}
