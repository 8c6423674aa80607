//! Where a provider may be named: in `connectors`, and where the server starts the sandbox. Everywhere else a provider is
//! data, so that a new one costs one folder and one line.

use crate::{assert_none, source::Source};

/// The providers that exist or are planned. A database's name also names a store, so it cannot be looked for here.
const PROVIDERS: [&str; 4] = ["salesforce", "hubspot", "zendesk", "github"];

/// The server's verbs that start the sandbox.
const SANDBOX_VERBS: [&str; 4] =
    ["server/src/demo/", "server/src/cli/demo", "server/src/cli/sandbox.rs", "server/src/cli/sandbox/"];

fn named_providers(source: &Source) -> Vec<String> {
    let mut findings = Vec::new();
    for token in source.tokens() {
        // A link to a project's page names no provider.
        let text = token.text.to_lowercase().replace("github.com", "");
        let named = PROVIDERS.iter().filter(|provider| text.contains(**provider));
        findings.extend(named.map(|provider| format!("{}:{} names {provider}", source.path, token.line)));
    }
    findings
}

#[test]
fn no_provider_is_named_outside_connectors_and_the_sandbox_verbs() {
    let sources = ["core/src", "server/src", "client-sdk/src"].into_iter().flat_map(Source::below);
    let bound = sources.filter(|source| !SANDBOX_VERBS.iter().any(|verb| source.path.starts_with(verb)));
    assert_none(
        bound.flat_map(|source| named_providers(&source)).collect(),
        "a provider is data outside connectors; but:",
    );
}

#[test]
fn the_checker_finds_what_it_must() {
    for (text, found) in [
        ("match provider { \"hubspot\" => 1, _ => 2 }", 1),
        ("fn salesforce_port() {}", 1),
        ("use syncline_connectors::zendesk::Zendesk;", 2),
        ("const HOME: &str = \"https://github.com/syncline\";", 0),
        ("/// Such as `hubspot`.\nfn f() {} // like hubspot", 0),
        ("#[cfg(test)] mod tests { const A: &str = \"hubspot\"; }", 0),
    ] {
        let findings = named_providers(&Source::example(text));
        assert_eq!(findings.len(), found, "{text}: {findings:?}");
    }
}
