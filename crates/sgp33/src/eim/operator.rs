//! The operator of an eIM, who registers devices and places orders.

use std::fmt;

use rsp::ids::{Eid, Iccid};
use world::{BoxFuture, Fault};

/// The interface to the operator of an eIM. It is proprietary, because SGP.32 does not define one.
pub trait Operator: Send + Sync {
    /// Registers a device. The eIM knows its EID only, and requests its other data from the IPA.
    fn register(&self, eid: Eid) -> BoxFuture<'_, Result<(), Fault>>;

    /// Orders one package with these operations, in this order.
    fn order<'a>(&'a self, eid: Eid, operations: &'a [Operation]) -> BoxFuture<'a, Result<(), Fault>>;
}

/// An operation of an order. The text form is that of `landfall eim order`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Operation {
    /// listProfileInfo.
    List,
    /// getRAT.
    Rat,
    /// enable.
    Enable(Iccid),
    /// disable.
    Disable(Iccid),
    /// delete.
    Delete(Iccid),
    /// listEim.
    ListEims,
    /// A request for data of the device.
    Data,
    /// The download of a profile with this activation code.
    Download(String),
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::List => f.write_str("list"),
            Self::Rat => f.write_str("rat"),
            Self::Enable(iccid) => write!(f, "enable:{iccid}"),
            Self::Disable(iccid) => write!(f, "disable:{iccid}"),
            Self::Delete(iccid) => write!(f, "delete:{iccid}"),
            Self::ListEims => f.write_str("list-eims"),
            Self::Data => f.write_str("data"),
            Self::Download(code) => write!(f, "download:{code}"),
        }
    }
}
