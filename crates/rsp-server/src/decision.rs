//! What a function comes to, and the two ways in which it can fail to come to anything.

use rsp::status::Refusal;
use world::Fault;

/// A function's result: its reply, or why there is none.
pub type Decision<T> = Result<T, Rejection>;

/// Why there is no reply.
#[derive(Debug)]
pub enum Rejection {
    /// The protocol's answer. What was written is committed: an attempt counted, an order or a session ended.
    Refusal(Refusal),
    /// Ours. Nothing is committed.
    Fault(Fault),
}

impl From<Refusal> for Rejection {
    fn from(refusal: Refusal) -> Self {
        Self::Refusal(refusal)
    }
}

impl From<Fault> for Rejection {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

/// A refusal is an answer; a fault is none.
pub(crate) fn without_fault<T>(decision: Decision<T>) -> Result<Result<T, Refusal>, Fault> {
    match decision {
        Ok(reply) => Ok(Ok(reply)),
        Err(Rejection::Refusal(refusal)) => Ok(Err(refusal)),
        Err(Rejection::Fault(fault)) => Err(fault),
    }
}
