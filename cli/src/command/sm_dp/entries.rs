//! `landfall sm-dp list|latest|wait`: entries of a running SM-DP+, over its admin API.

use std::{borrow::Cow, str::FromStr};

use clap::{Args, ValueEnum};
use rsp_server::{Namespace, api::Verb};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde_json::Value;
use sm_dp::admin::reply_schema;
use world::{Fault, FaultKind};

use crate::{admin::Admin, output::print_json, settings::Settings};

/// The namespace of a command
#[derive(Args, Clone, Debug)]
pub struct Scope {
    /// Namespace of the entries [default: default]
    #[arg(hide_default_value = true, long, value_name = "NAME", default_value_t)]
    pub(super) namespace: Namespace,
}

/// A list of the admin API.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum Resource {
    /// Profiles with their orders
    Stock,
    /// Orders
    Orders,
    /// Sessions
    Sessions,
    /// Notifications of eUICCs
    Notifications,
    /// Events of the server
    Events,
    /// Registered operators
    Operators,
    /// Messages that wait for operators and SM-DSs
    Outbox,
}

/// A list with entries that a command can wait for.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum Changing {
    /// Orders
    Orders,
    /// Sessions
    Sessions,
    /// Notifications of eUICCs
    Notifications,
    /// Events of the server
    Events,
}

/// A condition `FIELD=VALUE`, a filter of the list.
#[derive(Clone, Debug)]
pub struct Condition {
    field: String,
    value: String,
}

/// The entry that changed last
#[derive(Args, Clone, Debug)]
pub struct Latest {
    /// The list: orders, sessions, notifications or events
    #[arg(hide_possible_values = true)]
    resource: Changing,
    /// Filter of the list, such as state=Installed (repeatable)
    #[arg(value_name = "FIELD=VALUE")]
    conditions: Vec<Condition>,
    #[command(flatten)]
    scope: Scope,
}

/// The entry to wait for
#[derive(Args, Clone, Debug)]
pub struct Wait {
    #[command(flatten)]
    which: Latest,
    /// Maximum time to wait, such as 10s or 500ms
    #[arg(long, default_value = "10s", value_name = "TIME")]
    timeout: String,
    /// Only an entry that changed after this revision or event number
    #[arg(long, default_value_t = 0, value_name = "NUMBER")]
    after: u64,
}

impl FromStr for Condition {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (field, value) = text.split_once('=').ok_or("write it as FIELD=VALUE")?;
        Ok(Self { field: field.to_owned(), value: value.to_owned() })
    }
}

/// Prints all entries that match, as JSON.
///
/// # Errors
/// The admin API is unreachable or refuses the request.
pub(super) async fn list(
    settings: &Settings,
    scope: &Scope,
    resource: Resource,
    conditions: &[Condition],
) -> Result<(), Fault> {
    let query = query(conditions, &[])?;
    let path = format!("/admin/v1/{}?{query}", name(resource));
    let entries: Vec<Value> = admin(settings, scope)?.list(&path).await?;
    print_json(&entries)
}

impl Latest {
    /// Prints the entry that changed last, as JSON.
    ///
    /// # Errors
    /// Nothing matches, or the admin API is unreachable or refuses the request.
    pub async fn run(&self, settings: &Settings) -> Result<(), Fault> {
        self.print(settings, "latest", &[], "nothing matches").await
    }

    async fn print(
        &self,
        settings: &Settings,
        function: &str,
        parameters: &[(&str, String)],
        nothing: &str,
    ) -> Result<(), Fault> {
        let resource = name(self.resource);
        let query = query(&self.conditions, parameters)?;
        let path = format!("/admin/v1/{resource}/{function}?{query}");
        let found = admin(settings, &self.scope)?.find(&path).await?;
        let found: Value = found.ok_or_else(|| {
            let next = format!("list the entries with `landfall sm-dp list {resource}`");
            Fault::new(format!("there is no such entry in {resource}"), nothing, next)
                .of_kind(FaultKind::NotFound)
        })?;
        print_json(&found)
    }
}

impl Wait {
    /// Waits for an entry, and prints it as JSON.
    ///
    /// # Errors
    /// Nothing matched within the timeout, or the admin API is unreachable or refuses the request.
    pub async fn run(&self, settings: &Settings) -> Result<(), Fault> {
        let parameters = [("after", self.after.to_string()), ("timeout", self.timeout.clone())];
        let nothing = format!("nothing matched within {}, or the server stopped", self.timeout);
        self.which.print(settings, "wait", &parameters, &nothing).await
    }
}

/// All entries of a list of the admin API.
pub(super) struct AllEntries;

/// One entry of a list of the admin API.
pub(super) struct OneEntry;

impl JsonSchema for AllEntries {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "AllEntries".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let mut of = |resource: &Resource| match resource {
            // A page of events also contains their range.
            Resource::Events => {
                let event = reply_schema(Verb::Get, "/admin/v1/events/latest", generator)?;
                Some(json_schema!({ "type": "array", "items": event }))
            }
            _ => reply_schema(Verb::Get, &format!("/admin/v1/{}", name(*resource)), generator),
        };
        let lists: Vec<Schema> = Resource::value_variants().iter().filter_map(&mut of).collect();
        json_schema!({ "anyOf": lists })
    }
}

impl JsonSchema for OneEntry {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "OneEntry".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let mut of = |resource: &Changing| {
            reply_schema(Verb::Get, &format!("/admin/v1/{}/latest", name(*resource)), generator)
        };
        let entries: Vec<Schema> = Changing::value_variants().iter().filter_map(&mut of).collect();
        json_schema!({ "anyOf": entries })
    }
}

fn name(value: impl ValueEnum) -> String {
    value.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
}

fn query(conditions: &[Condition], parameters: &[(&str, String)]) -> Result<String, Fault> {
    let conditions = conditions.iter().map(|condition| (condition.field.as_str(), condition.value.as_str()));
    let parameters = parameters.iter().map(|(name, value)| (*name, value.as_str()));
    serde_urlencoded::to_string(conditions.chain(parameters).collect::<Vec<_>>())
        .map_err(|e| Fault::caused_by(e, "cannot write the query", "report this"))
}

/// Returns a client of the admin API of the settings, for a namespace.
///
/// # Errors
/// The admin API is disabled, or its address is invalid.
pub(super) fn admin(settings: &Settings, scope: &Scope) -> Result<Admin, Fault> {
    let address = settings.admin.as_deref().ok_or_else(|| {
        Fault::usage(
            "cannot query the SM-DP+",
            "the admin API is disabled",
            "give the address of the admin API with --admin",
        )
    })?;
    Ok(Admin::at(address)?.in_namespace(&scope.namespace))
}
