//! /v1/check-in, /v1/devices and /v1/decisions.

use http::StatusCode;
use rsp::ids::Eid;
use rsp_server::api::{Arguments, Function, NoId, NoQuery, Problem, Problems, Verb};

use super::{Input, PlatformApi};
use crate::{
    check_in::{CheckIn, Instruction},
    device::{Device, Selection},
    platform::{DeviceDecision, Edit},
};

/// Path at which devices check in.
pub const CHECK_IN: &str = "/v1/check-in";

/// POST /v1/check-in
pub(super) struct Report;
/// GET /v1/devices
pub(super) struct List;
/// GET /v1/devices/{eid}
pub(super) struct Show;
/// PUT /v1/devices/{eid}
pub(super) struct Change;
/// DELETE /v1/devices/{eid}
pub(super) struct Retire;
/// GET /v1/decisions
pub(super) struct Decide;

/// The error of a function that names a device which does not exist.
const NO_SUCH_DEVICE: Problems = &[(StatusCode::NOT_FOUND, "No device of the fleet has this EID")];
/// The error of a function with a selection of devices.
pub(super) const NO_SUCH_SELECTION: Problems = &[(
    StatusCode::NOT_FOUND,
    "No device has this group, model or account, or there is no such country or state",
)];

impl Function<PlatformApi> for Report {
    const VERB: Verb = Verb::Post;
    const PATH: &'static str = CHECK_IN;
    const SUMMARY: &'static str = "Processes the check-in of a device and returns its next instruction";
    const PROBLEMS: Problems = &[
        (StatusCode::UNAUTHORIZED, "The token is not the token of this device (on the port for devices)"),
        (StatusCode::NOT_FOUND, "No device of the fleet has this EID"),
    ];
    type Arguments = Arguments<NoId, NoQuery, CheckIn>;
    type Reply = Instruction;

    async fn execute(Input { context, arguments }: Input<'_, '_, '_, Self>) -> Result<Instruction, Problem> {
        context.check_in(&arguments.body).await
    }
}

impl Function<PlatformApi> for List {
    const VERB: Verb = Verb::Get;
    const PATH: &'static str = "/v1/devices";
    const SUMMARY: &'static str = "Lists the selected devices in the order of their EIDs";
    const PROBLEMS: Problems = NO_SUCH_SELECTION;
    type Arguments = Arguments<NoId, Selection>;
    type Reply = Vec<Device>;

    async fn execute(Input { context, arguments }: Input<'_, '_, '_, Self>) -> Result<Vec<Device>, Problem> {
        context.devices(&arguments.query).await
    }
}

impl Function<PlatformApi> for Show {
    const VERB: Verb = Verb::Get;
    const PATH: &'static str = "/v1/devices/{eid}";
    const SUMMARY: &'static str = "Returns a device";
    const PROBLEMS: Problems = NO_SUCH_DEVICE;
    type Arguments = Arguments<Eid>;
    type Reply = Device;

    async fn execute(Input { context, arguments }: Input<'_, '_, '_, Self>) -> Result<Device, Problem> {
        context.device(arguments.id).await
    }
}

impl Function<PlatformApi> for Change {
    const VERB: Verb = Verb::Put;
    const PATH: &'static str = "/v1/devices/{eid}";
    const SUMMARY: &'static str = "Edits a device, or adds it if it is unknown";
    type Arguments = Arguments<Eid, NoQuery, Edit>;
    type Reply = Device;

    async fn execute(Input { context, arguments }: Input<'_, '_, '_, Self>) -> Result<Device, Problem> {
        context.edit(arguments.id, &arguments.body).await
    }
}

impl Function<PlatformApi> for Retire {
    const VERB: Verb = Verb::Delete;
    const PATH: &'static str = "/v1/devices/{eid}";
    const SUMMARY: &'static str =
        "Takes a device out of service: it no longer moves, and its profile orders are cancelled";
    const PROBLEMS: Problems = &[
        (StatusCode::NOT_FOUND, "No device of the fleet has this EID"),
        (StatusCode::CONFLICT, "The device has already been retired"),
    ];
    type Arguments = Arguments<Eid>;
    type Reply = Device;

    async fn execute(Input { context, arguments }: Input<'_, '_, '_, Self>) -> Result<Device, Problem> {
        context.retire(arguments.id).await
    }
}

impl Function<PlatformApi> for Decide {
    const VERB: Verb = Verb::Get;
    const PATH: &'static str = "/v1/decisions";
    const SUMMARY: &'static str =
        "Returns the decision about each selected device in service, with its reasons; changes nothing";
    const PROBLEMS: Problems = NO_SUCH_SELECTION;
    type Arguments = Arguments<NoId, Selection>;
    type Reply = Vec<DeviceDecision>;

    async fn execute(
        Input { context, arguments }: Input<'_, '_, '_, Self>,
    ) -> Result<Vec<DeviceDecision>, Problem> {
        context.decisions(&arguments.query).await
    }
}
