//! What must hold in a manifest beyond the shape of its parts.

use super::{
    spec::{
        Access, Algorithm, ByIds, Carrier, Deletes, Etag, Event, Find, List, Object, Order, Outcome, Paging, Request,
        Rule, Spec, Status, Verify, Write,
    },
    words::Template,
};
use crate::located::{Kind, Node, Report, suggest};

/// More objects, fields or rules than this are a slip.
const OBJECTS_MAX: usize = 100;
const FIELDS_MAX: usize = 2_000;
const RULES_MAX: usize = 500;

/// Names of settings that every integration has.
pub(super) const OWN_SETTINGS: &[&str] = &["base_url", "time_scale", "reserve_percent"];

/// Checks everything.
pub(super) fn check(spec: &Spec, root: &Node, report: &Report) {
    Laws { spec, root, report }.check();
}

struct Laws<'a> {
    spec: &'a Spec,
    root: &'a Node,
    report: &'a Report,
}

/// What every call may look up.
const EVERYWHERE: &[&str] = &["settings", "client_id", "fields"];
/// What pages may look up beside.
const PAGES: &[&str] = &["since", "until", "after_id", "cursor", "offset", "page", "limit"];
/// What searches may look up beside.
const SEARCHES: &[&str] = &["field", "value", "values", "terms", "cursor", "offset", "page", "limit"];
/// What writes may look up beside.
const UPDATES: &[&str] = &["id", "body", "object", "version", "etag", "once"];
const CREATES: &[&str] = &["body", "key", "key_field", "attempt_key", "once"];
const PARTS: &[&str] = &["id", "value", "found"];
const TOKENS: &[&str] = &["client_secret", "refresh_token", "token", "now"];
const WEBHOOKS: &[&str] = &["payload", "timestamp", "method", "url"];

impl Laws<'_> {
    fn problem(&self, path: &str, message: impl Into<String>, remedy: impl Into<String>) {
        self.report.add(place(self.root, path).at, path, message, remedy);
    }

    fn check(&self) {
        let spec = self.spec;
        self.connection();
        self.settings();
        self.auth();
        self.request("probe.request", &spec.probe.request, &[]);
        for (name, header) in &spec.headers {
            self.header(&format!("headers.{name}"), name);
            self.names(&format!("headers.{name}"), header.names(), &[]);
            self.known_settings(&format!("headers.{name}"), header.keys_below("settings").collect());
        }
        for (place, rule) in spec.errors.rules.iter().enumerate() {
            self.rule(&format!("errors.rules.{place}"), rule);
        }
        if spec.errors.rules.len() > RULES_MAX {
            self.problem(
                "errors.rules",
                format!("more than {RULES_MAX} rules"),
                "keep those that say more than the status",
            );
        }
        self.limits();
        if spec.objects.is_empty() || spec.objects.len() > OBJECTS_MAX {
            self.problem(
                "objects",
                format!("there are {} objects", spec.objects.len()),
                format!("give 1 to {OBJECTS_MAX}"),
            );
        }
        for (name, object) in &spec.objects {
            self.object(&format!("objects.{name}"), object);
        }
        self.webhooks();
    }

    fn connection(&self) {
        let connection = &self.spec.connection;
        if let Some(base_url) = &connection.base_url
            && let Err(error) = crate::rest::BaseUrl::parse(base_url)
        {
            self.problem("connection.base_url", error.to_string(), "");
        }
        for (place, host) in connection.hosts.iter().enumerate() {
            let name = host.strip_prefix("*.").unwrap_or(host);
            let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-');
            if name.is_empty() || !name.contains('.') || !name.chars().all(fits) {
                let remedy = "write `api.example.com`, or `*.example.com` for any host below it";
                self.problem(&format!("connection.hosts.{place}"), format!("`{host}` is no host"), remedy);
            }
        }
    }

    fn settings(&self) {
        for (name, setting) in &self.spec.settings {
            let path = format!("settings.{name}");
            if OWN_SETTINGS.contains(&name.as_str()) {
                self.problem(&path, format!("every integration has `{name}`"), "remove it, or call it otherwise");
            }
            if let Some(default) = &setting.default
                && let Err(wrong) = super::settings::fits(name, setting, default)
            {
                self.problem(&format!("{path}.default"), wrong, "");
            }
        }
    }

    fn auth(&self) {
        let auth = &self.spec.auth;
        self.carrier("auth.send", &auth.send);
        for (place, other) in auth.or.iter().enumerate() {
            self.carrier(&format!("auth.or.{place}.send"), &other.send);
        }
        let Some(refresh) = &auth.refresh else { return };
        self.request("auth.refresh.request", &refresh.request, TOKENS);
        if let Some(address) = &refresh.base_url
            && let Err(error) = crate::rest::BaseUrl::parse(address)
        {
            self.problem("auth.refresh.base_url", error.to_string(), "");
        }
    }

    fn carrier(&self, path: &str, carrier: &Carrier) {
        match carrier {
            Carrier::Bearer | Carrier::None | Carrier::Query(_) => {}
            Carrier::Basic(basic) => self.token(&format!("{path}.basic.credentials"), &basic.credentials),
            Carrier::Header(header) => {
                self.header(&format!("{path}.header.name"), &header.name);
                if let Some(value) = &header.value {
                    self.token(&format!("{path}.header.value"), value);
                }
            }
        }
    }

    fn token(&self, path: &str, template: &Template) {
        self.names(path, template.names(), &["token"]);
        if !template.uses("token") {
            self.problem(path, "the token does not go with the call", "look up `{token}`");
        }
    }

    fn rule(&self, path: &str, rule: &Rule) {
        for status in rule.when.status.all() {
            let known = match status {
                Status::One(status) => (100..600).contains(status),
                Status::Hundred(_) => true,
            };
            if !known {
                self.problem(
                    &format!("{path}.when.status"),
                    "there is no such status",
                    "write a number such as 409, or `4xx`",
                );
            }
        }
        let waits = matches!(rule.then, Outcome::Wait | Outcome::Busy);
        if rule.after.is_some() && !waits {
            self.problem(&format!("{path}.after"), "only `wait` and `busy` wait", "remove it");
        }
        if let Some(budget) = &rule.budget {
            let names: Vec<&str> = self.spec.limits.budgets.iter().map(|budget| budget.name.as_str()).collect();
            if !names.contains(&budget.as_str()) {
                let remedy = suggest(budget, names);
                self.problem(&format!("{path}.budget"), format!("`limits` has no budget `{budget}`"), remedy);
            }
        }
    }

    fn limits(&self) {
        let mut names = std::collections::BTreeSet::new();
        for (place, budget) in self.spec.limits.budgets.iter().enumerate() {
            let path = format!("limits.budgets.{place}");
            if !names.insert(&budget.name) {
                self.problem(&path, format!("the name `{}` is repeated", budget.name), "give each budget its own");
            }
            if budget.per.ms() == 0 {
                self.problem(&format!("{path}.per"), "a budget needs a time", "write `1m`");
            }
            if let Some(setting) = &budget.setting
                && (OWN_SETTINGS.contains(&setting.as_str()) || self.spec.settings.contains_key(setting))
            {
                self.problem(
                    &format!("{path}.setting"),
                    format!("`{setting}` is another setting"),
                    "call it otherwise",
                );
            }
        }
        let hints = self.spec.limits.wait.iter().chain(&self.spec.limits.pause);
        if hints.into_iter().any(|hint| hint.header.is_some() == hint.path.is_some()) {
            self.problem("limits", "a hint names either a `header` or a `path`", "keep one of them");
        }
        let pauses = !self.spec.limits.pause.is_empty();
        if pauses && self.spec.limits.budgets.is_empty() {
            self.problem(
                "limits.pause",
                "a pause holds up a budget, and there is none",
                "add the provider's limit to `budgets`",
            );
        }
    }

    fn header(&self, path: &str, name: &str) {
        if http::HeaderName::from_bytes(name.as_bytes()).is_err() {
            self.problem(path, format!("`{name}` is no header's name"), "use letters, digits and dashes");
        }
    }

    fn names<'n>(&self, path: &str, names: impl IntoIterator<Item = &'n str>, beside: &[&str]) {
        for name in names {
            if !EVERYWHERE.contains(&name) && !beside.contains(&name) {
                let here =
                    EVERYWHERE.iter().chain(beside).map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
                self.problem(path, format!("`{name}` is not known here"), format!("look up one of: {here}"));
            }
        }
    }

    fn known_settings(&self, path: &str, keys: Vec<String>) {
        for key in keys.into_iter().filter(|key| !self.spec.settings.contains_key(key)) {
            let remedy = if self.spec.settings.is_empty() {
                format!("add `{key}` to `settings`")
            } else {
                suggest(&key, self.spec.settings.keys().map(String::as_str))
            };
            self.problem(path, format!("there is no setting `{key}`"), remedy);
        }
    }

    fn request(&self, path: &str, request: &Request, beside: &[&str]) {
        if request.line().is_none() {
            self.problem(path, "a call has exactly one method", "give one of `get`, `post`, `put`, `patch`, `delete`");
        }
        if request.json.is_some() && request.form.is_some() {
            self.problem(path, "a call has one body", "keep `json` or `form`");
        }
        if let Some((_, template)) = request.line()
            && !template.starts_with_slash()
        {
            self.problem(path, "the path of a call begins with a slash", "write it like `/users/{id}`");
        }
        for name in request.headers.keys() {
            self.header(&format!("{path}.headers.{name}"), name);
        }
        for name in request.query.keys().filter(|name| name.contains('{')) {
            match Template::parse(name) {
                Ok(template) => self.names(&format!("{path}.query.{name}"), template.names(), beside),
                Err(error) => self.problem(&format!("{path}.query.{name}"), error.message, error.remedy),
            }
        }
        self.names(path, request.names(), beside);
        self.known_settings(path, request.keys_below("settings"));
    }

    fn object(&self, path: &str, object: &Object) {
        if object.fields.known.len() > FIELDS_MAX {
            self.problem(
                &format!("{path}.fields.known"),
                format!("more than {FIELDS_MAX} fields"),
                "let `others` take the rest",
            );
        }
        self.list(&format!("{path}.list"), &object.list, object);
        if let Some(changes) = &object.changes {
            self.list(&format!("{path}.changes"), changes, object);
            if !changes.request.uses("since") {
                let remedy = "look up `{since}`, or leave `changes` out: the whole list is compared then";
                self.problem(&format!("{path}.changes.request"), "the call does not say since when", remedy);
            }
        }
        self.deletes(path, object);
        self.by_id(&format!("{path}.by_id"), &object.by_id);
        for (place, find) in object.find.iter().enumerate() {
            self.find(&format!("{path}.find.{place}"), find);
        }
        if let Some(discover) = &object.discover {
            let path = format!("{path}.discover");
            self.request(&format!("{path}.list.request"), &discover.list.request, SEARCHES);
            self.names(&format!("{path}.name"), discover.name.names(), &["row"]);
        }
        self.writes(path, object);
        for (name, field) in &object.fields.known {
            let path = format!("{path}.fields.known.{name}");
            let at = field.write_path.as_ref().or(field.path.as_ref());
            if field.access != Access::Read && at.is_some_and(|path| path.keys().is_none()) {
                let remedy = "give `write_path` as keys alone, or `access: read`";
                self.problem(&path, "a value cannot be put at this path", remedy);
            }
            let Some(parts) = &field.parts else { continue };
            self.request(&format!("{path}.parts.look"), &parts.look, PARTS);
            self.request(&format!("{path}.parts.change"), &parts.change, PARTS);
            for request in [&parts.add, &parts.remove].into_iter().flatten() {
                self.request(&format!("{path}.parts"), request, PARTS);
            }
        }
    }

    fn list(&self, path: &str, list: &List, object: &Object) {
        self.request(&format!("{path}.request"), &list.request, PAGES);
        self.paging(path, &list.page, &list.request);
        if list.order == Order::Stamp && object.version.is_none() {
            let remedy = "give the object its `version`, or say `order: id`";
            self.problem(path, "rows without a stamp have no order by it", remedy);
        }
        if list.order == Order::Stamp && list.page == Paging::Keyset {
            self.problem(&format!("{path}.page"), "`keyset` walks by id", "say `order: id`, or page otherwise");
        }
        let counts = matches!(list.page, Paging::Link | Paging::NextUrl(_) | Paging::Page | Paging::Offset);
        if list.order == Order::Stamp && counts && !list.stable && !list.request.uses("since") {
            let remedy = "look up `{since}`, say `stable: true` if rows that change do not move others, or walk by id";
            self.problem(path, "rows that change move others into pages that were read", remedy);
        }
    }

    fn paging(&self, path: &str, paging: &Paging, request: &Request) {
        let (word, name) = match paging {
            Paging::Keyset => ("keyset", "after_id"),
            Paging::Offset => ("offset", "offset"),
            Paging::Page => ("page", "page"),
            Paging::Token(token) => {
                if token.path.is_some() == token.header.is_some() {
                    self.problem(
                        &format!("{path}.page.token"),
                        "a token stands at a `path` or in a `header`",
                        "keep one of them",
                    );
                }
                ("token", "cursor")
            }
            Paging::None | Paging::Link | Paging::NextUrl(_) => return,
        };
        if !request.uses(name) {
            self.problem(
                &format!("{path}.request"),
                format!("paging by `{word}` needs `{{{name}}}` in the call"),
                "look it up in a parameter or in the body",
            );
        }
    }

    fn deletes(&self, path: &str, object: &Object) {
        match &object.deletes {
            Deletes::Probe => {}
            Deletes::Changes if object.deleted.is_none() => {
                self.problem(
                    &format!("{path}.deletes"),
                    "the rows do not say that they are deleted",
                    "give the object `deleted`",
                );
            }
            Deletes::Changes if object.changes.is_none() && !object.list.request.uses("since") => {
                self.problem(
                    &format!("{path}.deletes"),
                    "nothing lists changes",
                    "give the object `changes`, or look up `{since}` in `list`",
                );
            }
            Deletes::Changes => {}
            Deletes::Archived(list) => self.list(&format!("{path}.deletes.archived"), list, object),
            Deletes::Feed(feed) => {
                let path = format!("{path}.deletes.feed");
                self.request(&format!("{path}.list.request"), &feed.list.request, PAGES);
                self.paging(&format!("{path}.list"), &feed.list.page, &feed.list.request);
            }
        }
    }

    fn by_id(&self, path: &str, by_id: &ByIds) {
        if by_id.one.is_none() && by_id.many.is_none() {
            self.problem(path, "nothing reads an object by its id", "give `one`, `many`, or both");
        }
        for (name, one) in [("one", &by_id.one), ("merged", &by_id.merged)] {
            let Some(one) = one else { continue };
            self.request(&format!("{path}.{name}.request"), &one.request, &["id"]);
            self.needs(&format!("{path}.{name}.request"), &one.request, &["id"]);
        }
        for (name, many) in [("many", &by_id.many), ("archived", &by_id.archived)] {
            let Some(many) = many else { continue };
            self.request(&format!("{path}.{name}.request"), &many.request, &["ids"]);
            self.needs(&format!("{path}.{name}.request"), &many.request, &["ids"]);
        }
    }

    fn needs(&self, path: &str, request: &Request, any: &[&str]) {
        if !any.iter().any(|name| request.uses(name)) {
            let names = any.iter().map(|name| format!("`{{{name}}}`")).collect::<Vec<_>>().join(" or ");
            self.problem(path, "the call does not say of what it speaks", format!("look up {names}"));
        }
    }

    fn find(&self, path: &str, find: &Find) {
        self.request(&format!("{path}.request"), &find.request, SEARCHES);
        self.needs(&format!("{path}.request"), &find.request, &["value", "values", "terms"]);
        self.paging(path, &find.page, &find.request);
        match &find.term {
            Some(term) => self.names(&format!("{path}.term"), term.names(), &["field", "value"]),
            None if find.request.uses("terms") => {
                self.problem(path, "`{terms}` are made of `term`", "give `term`, such as `{field}:{value}`");
            }
            None => {}
        }
    }

    fn writes(&self, path: &str, object: &Object) {
        if let Some(create) = &object.create {
            self.write(&format!("{path}.create"), create, CREATES);
            let shown = create.row.is_some() || !create.id.0.is_empty() || create.location;
            if !shown {
                let remedy = "give `row`, `id` or `location: true`";
                self.problem(&format!("{path}.create"), "nothing tells the id of what was created", remedy);
            }
            if create.request.uses("attempt_key") && object.key.is_none() {
                self.problem(
                    &format!("{path}.create"),
                    "without a key no creation is repeated",
                    "give the object its `key`",
                );
            }
        }
        if let Some(update) = &object.update {
            self.write(&format!("{path}.update"), update, UPDATES);
            self.needs(&format!("{path}.update.request"), &update.request, &["body", "object"]);
        }
        if let Some(delete) = &object.delete {
            self.write(&format!("{path}.delete"), delete, UPDATES);
        }
        for (name, write) in [("update", &object.update), ("delete", &object.delete)] {
            let Some(write) = write else { continue };
            let path = format!("{path}.{name}.request");
            self.needs(&path, &write.request, &["id", "object"]);
            if write.request.uses("etag") && object.etag.is_none() {
                self.problem(&path, "the object has no entity tag", "give the object `etag: header`");
            }
            if write.request.uses("etag") && matches!(object.etag, Some(Etag::Header)) && object.by_id.one.is_none() {
                self.problem(&path, "an entity tag in a header comes with a single object", "give `by_id` its `one`");
            }
            if write.request.uses("version") && object.version.is_none() {
                self.problem(&path, "the object has no stamp", "give the object its `version`");
            }
        }
        if let Some(key) = &object.key {
            let path = format!("{path}.key");
            if let Some(upsert) = &key.upsert {
                self.write(&format!("{path}.upsert"), upsert, CREATES);
                self.needs(&format!("{path}.upsert.request"), &upsert.request, &["key", "body"]);
            }
            if key.marker.is_some() && key.field.is_none() {
                self.problem(&path, "a marker's key needs a name", "give `field`: the name by which mappings call it");
            }
            if object.create.is_none() && key.upsert.is_none() {
                self.problem(&path, "nothing is created", "give the object `create`, or remove the key");
            }
        }
    }

    fn write(&self, path: &str, write: &Write, beside: &[&str]) {
        self.request(&format!("{path}.request"), &write.request, beside);
        if let Some(once) = &write.once {
            self.request(&format!("{path}.once.request"), &once.request, &["id"]);
            self.needs(&format!("{path}.request"), &write.request, &["once"]);
        }
    }

    fn webhooks(&self) {
        let Some(webhooks) = &self.spec.webhooks else { return };
        self.verify(&webhooks.verify);
        for (place, event) in webhooks.event.iter().enumerate() {
            self.event(&format!("webhooks.event.{place}"), event);
        }
    }

    fn verify(&self, verify: &Verify) {
        let path = "webhooks.verify";
        if verify.header.is_some() == verify.query.is_some() {
            self.problem(path, "a delivery is verified by a `header` or by a `query`", "keep one of them");
        }
        if let Some(header) = &verify.header {
            self.header(&format!("{path}.header"), header);
        }
        self.names(&format!("{path}.message"), verify.message.names(), WEBHOOKS);
        if verify.algorithm != Algorithm::Secret && !verify.message.uses("payload") {
            self.problem(&format!("{path}.message"), "the body is not signed", "look up `{payload}`");
        }
        if verify.timestamp.is_some() && verify.algorithm != Algorithm::Secret && !verify.message.uses("timestamp") {
            self.problem(
                &format!("{path}.message"),
                "the time is not signed, so that anybody can change it",
                "look up `{timestamp}`",
            );
        }
    }

    fn event(&self, path: &str, event: &Event) {
        if !self.spec.objects.contains_key(&event.object) {
            let remedy = suggest(&event.object, self.spec.objects.keys().map(String::as_str));
            self.problem(&format!("{path}.object"), format!("there is no object `{}`", event.object), remedy);
        }
        if let Some(dedupe) = &event.dedupe {
            self.names(&format!("{path}.dedupe"), dedupe.names(), &["row"]);
        }
    }
}

/// The node at a path of keys, as deep as it goes.
fn place<'n>(root: &'n Node, path: &str) -> &'n Node {
    let mut node = root;
    let mut rest = path;
    while !rest.is_empty() {
        // Keys may hold dots, so the longest that fits is taken.
        let (found, after) = match &*node.kind {
            Kind::Map(entries) => {
                let fits = |key: &str| rest == key || rest.strip_prefix(key).is_some_and(|rest| rest.starts_with('.'));
                let longest = entries.iter().filter(|(key, _)| fits(&key.text)).max_by_key(|(key, _)| key.text.len());
                match longest {
                    Some((key, value)) => (Some(value), rest[key.text.len()..].trim_start_matches('.')),
                    None => (None, ""),
                }
            }
            Kind::List(items) => {
                let (place, after) = rest.split_once('.').unwrap_or((rest, ""));
                (place.parse::<usize>().ok().and_then(|place| items.get(place)), after)
            }
            Kind::Scalar { .. } => (None, ""),
        };
        match found {
            Some(found) => (node, rest) = (found, after),
            None => break,
        }
    }
    node
}
