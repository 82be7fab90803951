//! `landfall sm-dp order`: orders a profile over the admin API.

use std::{borrow::Cow, path::PathBuf};

use clap::Args;
use rsp::ids::{Eid, Iccid};
use rsp_server::api::Verb;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::Serialize;
use serde_json::Value;
use sm_dp::admin::reply_schema;
use world::Fault;

use super::entries::Scope;
use crate::{output::print_json, secret_file::read_secret, settings::Settings};

/// The path of the function.
const ORDERS: &str = "/admin/v1/orders";

/// The profile to order; by default any available one, or a new one from a template
#[derive(Args, Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Order {
    /// ICCID of the profile
    #[arg(long, conflicts_with = "profile_type")]
    #[serde(skip_serializing_if = "Option::is_none")]
    iccid: Option<Iccid>,
    /// Profile type, for any profile of this type
    #[arg(long = "type", value_name = "TYPE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    profile_type: Option<String>,
    /// EID of the eUICC to which the order is bound
    #[arg(long)]
    #[serde(skip_serializing_if = "Option::is_none")]
    eid: Option<Eid>,
    /// MatchingID [default: generated]
    #[arg(long)]
    #[serde(skip_serializing_if = "Option::is_none")]
    matching_id: Option<String>,
    /// File with the confirmation code that the end user must enter, or `-` for standard input
    #[arg(long, value_name = "FILE")]
    #[serde(skip)]
    confirmation_code_file: Option<PathBuf>,
    #[command(flatten)]
    #[serde(skip)]
    scope: Scope,
}

/// The request of the admin API.
#[derive(Serialize)]
struct NewOrder<'a> {
    #[serde(flatten)]
    order: &'a Order,
    #[serde(skip_serializing_if = "Option::is_none")]
    confirmation_code: Option<&'a str>,
}

/// The reply of the admin API to an order.
pub(super) struct Placed;

impl JsonSchema for Placed {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Placed".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        reply_schema(Verb::Post, ORDERS, generator).unwrap_or_default()
    }
}

impl Order {
    /// Places the order, and prints it as JSON with its activation code and the keys of its
    /// subscriber.
    ///
    /// # Errors
    /// The admin API is unreachable or refuses the request.
    pub(super) async fn run(&self, settings: &Settings) -> Result<(), Fault> {
        let code = self.confirmation_code_file.as_deref().map(read_secret).transpose()?;
        let confirmation_code = code.as_ref().map(|code| code.expose().as_str());
        let new = NewOrder { order: self, confirmation_code };
        let placed: Value = super::entries::admin(settings, &self.scope)?.post(ORDERS, &new).await?;
        print_json(&placed)
    }
}
