//! `landfall eim order`: orders a package at a running eIM.

use std::{path::PathBuf, time::Duration};

use clap::Args;
use eim::{NewOrder, records::ConfirmationCode};
use http::Method;
use rsp::ids::Eid;
use rsp_server::api::{MAX_TIMEOUT, Timeout};
use serde_json::Value;
use world::{Fault, FaultKind};

use super::{
    ApiAddress, Resource,
    operation::{self, Operation},
};
use crate::{api_client::ApiClient, output::print_json, secret_file::read_secret};

/// The package to order
#[derive(Args, Debug)]
pub struct Order {
    /// EID of the eUICC
    eid: Eid,
    #[arg(required = true, value_name = "OPERATION", help = operation::HELP)]
    operations: Vec<Operation>,
    /// The eIM keeps the source of a download, and the device downloads through the eIM
    #[arg(long)]
    kept: bool,
    /// File with the confirmation code of a download with --kept, or `-` for standard input
    #[arg(long, value_name = "FILE", requires = "kept")]
    confirmation_code_file: Option<PathBuf>,
    /// Time in seconds after which the package is not sent any more [default: 90 days]
    #[arg(long, value_name = "SECONDS")]
    lifetime: Option<u64>,
    /// Send the package even if it violates SGP.32 section 2.11.1.1, to test a card
    #[arg(long)]
    unchecked: bool,
    /// Wait for the result for this time, such as 60s
    #[arg(long, value_name = "TIME")]
    wait: Option<Timeout>,
    #[command(flatten)]
    api: ApiAddress,
}

impl Order {
    /// Places the order, and prints it; with `--wait`, once it has a result.
    ///
    /// # Errors
    /// The API is unreachable or refuses the order, there is no result in time, or the result is a
    /// failure.
    pub(super) async fn run(&self) -> Result<(), Fault> {
        let confirmation_code = self.confirmation_code_file.as_deref().map(read_secret).transpose()?;
        let order = NewOrder {
            confirmation_code: confirmation_code.map(|code| ConfirmationCode(code.expose().clone())),
            lifetime_seconds: self.lifetime,
            unchecked: self.unchecked,
            ..NewOrder::new(self.eid, operation::package(&self.operations, self.kept)?)
        };
        let client = self.api.client()?;
        let placed: Value = client.write(Method::POST, Resource::Orders.path(), &order).await?;
        let Some(Timeout(wait)) = self.wait else { return print_json(&placed) };
        let id = placed.get("transactionId").and_then(Value::as_str).unwrap_or_default();
        let ended = ended(&client, id, wait).await?;
        match failure(&ended) {
            None => print_json(&ended),
            Some((why, next)) => Err(Fault::new(format!("order {id} failed"), why, next).refused_with(None)),
        }
    }
}

/// Waits until an order has ended. One request of the API waits for a minute at most.
async fn ended(client: &ApiClient, id: &str, wait: Duration) -> Result<Value, Fault> {
    let mut left = wait;
    loop {
        let timeout = left.min(MAX_TIMEOUT);
        let path = Resource::Orders.path();
        let timeout_ms = timeout.as_millis().max(1);
        let path = format!("{path}/wait?transactionId={id}&progress=Ended&timeout={timeout_ms}ms");
        if let Some(ended) = client.find(&path).await? {
            return Ok(ended);
        }
        left = left.saturating_sub(timeout);
        if left.is_zero() {
            return Err(Fault::new(
                format!("order {id} has no result"),
                format!("the device did not deliver one within {} s", wait.as_secs()),
                format!("the order stays; read it with `landfall eim list orders transactionId={id}`"),
            )
            .of_kind(FaultKind::NotFound));
        }
    }
}

/// Returns the reason why an order failed, and the advice of its first failure.
fn failure(order: &Value) -> Option<(String, String)> {
    let text = |value: &Value, member: &str| value.get(member).and_then(Value::as_str).map(str::to_owned);
    let Some(result) = order.get("result") else {
        return Some(("it expired without a result".to_owned(), "place the order again".to_owned()));
    };
    if result.get("succeeded").and_then(Value::as_bool).unwrap_or_default() {
        return None;
    }
    let operations =
        result.get("operations").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let failed = operations.iter().find_map(|operation| {
        let code = operation.get("code")?;
        let is_failure = code.get("number").and_then(Value::as_i64) != Some(0);
        is_failure.then(|| (text(operation, "operation").unwrap_or_default(), code))
    });
    let (of, code) = match (result.get("error"), failed) {
        (Some(error), _) => (String::new(), error),
        (None, Some((operation, code))) => (format!("{operation}: "), code),
        (None, None) => {
            return Some((
                "the eUICC did not keep the result of all operations".to_owned(),
                "list the profiles, and order the rest again".to_owned(),
            ));
        }
    };
    let next = text(code, "next").unwrap_or_else(|| "read the log of the eIM".to_owned());
    Some((format!("{of}{}", text(code, "meaning").unwrap_or_default()), next))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_first_failure_of_an_order_is_reported_with_its_advice() {
        let done = json!({ "result": { "succeeded": true, "operations": [] } });
        assert_eq!(failure(&done), None);
        let code = |number| json!({ "number": number, "meaning": "m", "next": "n" });
        let operations = json!([
            { "operation": "list" }, { "operation": "disable", "code": code(0) }, { "operation": "enable", "code": code(5) },
        ]);
        let failed = json!({ "result": { "succeeded": false, "operations": operations } });
        assert_eq!(failure(&failed), Some(("enable: m".to_owned(), "n".to_owned())));
        let refused = json!({ "result": { "succeeded": false, "operations": [], "error": code(4) } });
        assert_eq!(failure(&refused), Some(("m".to_owned(), "n".to_owned())));
        assert!(failure(&json!({ "state": "Expired" })).is_some());
        assert!(failure(&json!({ "result": { "succeeded": false, "operations": [] } })).is_some());
    }
}
