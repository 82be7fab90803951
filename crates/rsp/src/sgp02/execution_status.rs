//! The execution status of a function in its response: SGP.02 section 5.1.

use schemars::JsonSchema;
use std::fmt;

use super::macros::{enumeration, structure};

structure! {
    /// The execution status of a function. The default is success.
    #[derive(Default, JsonSchema)]
    pub struct FunctionExecutionStatus {
        status: ExecutionStatus = "status" / "Status",
        status_code_data: Option<StatusCodeData> = "statusCodeData" / "StatusCodeData",
    }
}

structure! {
    /// The reason for a status other than success.
    #[derive(JsonSchema)]
    pub struct StatusCodeData {
        subject: String = "subject" / "Subject",
        reason: String = "reason" / "Reason",
        subject_identifier: Option<String> = "subjectIdentifier" / "SubjectIdentifier",
        message: Option<String> = "message" / "Message",
    }
}

impl fmt::Display for FunctionExecutionStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.status.name())?;
        let Some(data) = &self.status_code_data else { return Ok(()) };
        write!(f, " {}/{}", data.subject, data.reason)?;
        if let Some(subject) = &data.subject_identifier {
            write!(f, " {subject}")?;
        }
        match &data.message {
            Some(message) => write!(f, ": {message}"),
            None => Ok(()),
        }
    }
}

enumeration! {
    /// The execution status of a function. The spelling differs from that of SGP.22.
    #[derive(Default, JsonSchema)]
    pub enum ExecutionStatus {
        /// The function was executed.
        #[default]
        ExecutedSuccess = "EXECUTED_SUCCESS",
        /// The function was executed with a warning.
        ExecutedWithWarning = "EXECUTED_WITHWARNING",
        /// The function failed.
        Failed = "FAILED",
        /// The validity period of the call ended.
        Expired = "EXPIRED",
    }
}
