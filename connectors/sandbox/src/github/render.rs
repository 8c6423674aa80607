//! Objects on the wire.

use serde_json::{Value, json};

use super::caller::{APP_ID, APP_SLUG, OWNER, user};
use super::world::{Comment, Issue, Label, Milestone, Repository};
use crate::clock::Micros;

/// `2026-05-05T10:04:12Z`.
pub(crate) fn iso(at: Micros) -> String {
    format!("{:.0}", at.floor_to_second().timestamp())
}

/// How objects are shown: where the API lives, and in which version.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shape<'s> {
    /// The address of the API.
    pub(crate) base_url: &'s str,
    /// Whether issues still have a singular `assignee`.
    pub(crate) singular_assignee: bool,
}

impl Shape<'_> {
    fn repository_url(&self, repository: &Repository) -> String {
        format!("{}/repos/{OWNER}/{}", self.base_url, repository.name)
    }

    /// A repository.
    pub(crate) fn repository(&self, repository: &Repository) -> Value {
        let url = self.repository_url(repository);
        json!({
            "id": repository.id, "node_id": format!("R_{}", repository.id), "name": repository.name,
            "full_name": format!("{OWNER}/{}", repository.name), "private": true, "owner": user(OWNER, self.base_url),
            "html_url": format!("https://github.example/{OWNER}/{}", repository.name), "description": null, "fork": false,
            "url": url, "issues_url": format!("{url}/issues{{/number}}"), "has_issues": repository.has_issues,
            "archived": false, "disabled": false, "created_at": iso(repository.created),
            "open_issues_count": repository.here().filter(|issue| issue.is_open).count(),
        })
    }

    /// A label.
    pub(crate) fn label(&self, repository: &Repository, label: &Label) -> Value {
        json!({
            "id": label.id, "node_id": format!("LA_{}", label.id), "name": label.name, "color": label.color,
            "description": label.description, "default": false,
            "url": format!("{}/labels/{}", self.repository_url(repository), label.name),
        })
    }

    /// A milestone.
    pub(crate) fn milestone(&self, repository: &Repository, milestone: &Milestone) -> Value {
        let url = format!("{}/milestones/{}", self.repository_url(repository), milestone.number);
        let issues = |open: bool| {
            let inside = |issue: &&Issue| issue.milestone == Some(milestone.number) && issue.is_open == open;
            repository.here().filter(inside).count()
        };
        json!({
            "url": url, "html_url": url, "labels_url": format!("{url}/labels"), "id": milestone.id,
            "node_id": format!("MI_{}", milestone.id), "number": milestone.number, "title": milestone.title,
            "description": milestone.description, "creator": user(OWNER, self.base_url),
            "open_issues": issues(true), "closed_issues": issues(false),
            "state": if milestone.is_open { "open" } else { "closed" }, "created_at": iso(milestone.created),
            "updated_at": iso(milestone.updated), "due_on": milestone.due.map(iso), "closed_at": null,
        })
    }

    /// An issue or pull request.
    pub(crate) fn issue(&self, repository: &Repository, issue: &Issue) -> Value {
        let (home, number) = (self.repository_url(repository), issue.number);
        let url = format!("{home}/issues/{number}");
        let labels = issue.labels.iter().filter_map(|name| repository.labels.get(&name.to_lowercase()));
        let labels: Vec<Value> = labels.map(|label| self.label(repository, label)).collect();
        let milestone = issue.milestone.and_then(|number| repository.milestones.get(&number));
        let assignees: Vec<Value> = issue.assignees.iter().map(|login| user(login, self.base_url)).collect();
        let mut shown = json!({
            "url": url, "repository_url": home, "labels_url": format!("{url}/labels{{/name}}"),
            "comments_url": format!("{url}/comments"), "events_url": format!("{url}/events"),
            "html_url": format!("https://github.example/{OWNER}/{}/issues/{number}", repository.name), "id": issue.id,
            "node_id": format!("I_{}", issue.id), "number": number, "title": issue.title,
            "user": user(&issue.author, self.base_url), "labels": labels,
            "state": if issue.is_open { "open" } else { "closed" }, "state_reason": issue.reason,
            "locked": issue.is_locked, "active_lock_reason": issue.lock_reason, "assignees": assignees,
            "milestone": milestone.map(|milestone| self.milestone(repository, milestone)),
            "comments": issue.comments.len(), "created_at": iso(issue.created), "updated_at": iso(issue.updated),
            "closed_at": issue.closed.map(iso), "author_association": "MEMBER", "type": null, "body": issue.body,
            "performed_via_github_app": app_of(issue.by_app),
        });
        if self.singular_assignee {
            shown["assignee"] = shown["assignees"][0].clone();
        }
        if issue.is_pull_request {
            let url = format!("{home}/pulls/{number}");
            shown["pull_request"] = json!({"url": url, "html_url": url, "diff_url": url, "patch_url": url});
        }
        shown
    }

    /// A comment.
    pub(crate) fn comment(&self, repository: &Repository, number: u64, comment: &Comment) -> Value {
        let home = self.repository_url(repository);
        json!({
            "url": format!("{home}/issues/comments/{}", comment.id), "issue_url": format!("{home}/issues/{number}"),
            "html_url": format!("https://github.example/{OWNER}/{}/issues/{number}#issuecomment-{}", repository.name, comment.id),
            "id": comment.id, "node_id": format!("IC_{}", comment.id), "user": user(&comment.author, self.base_url),
            "created_at": iso(comment.created), "updated_at": iso(comment.updated), "author_association": "MEMBER",
            "body": comment.body, "performed_via_github_app": app_of(comment.by_app),
        })
    }
}

/// The app that made something, if it did.
fn app_of(by_app: bool) -> Value {
    if by_app { json!({"id": APP_ID, "slug": APP_SLUG, "name": "Sandbox app"}) } else { Value::Null }
}
