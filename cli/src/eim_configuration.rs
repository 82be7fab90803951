//! The configuration of eIMs in a file: the output of `landfall eim configuration`.

use std::path::Path;

use rsp::{
    der::Asn1,
    sgp32::{EimConfigurationData, es10b::AddInitialEimRequest},
};
use world::Fault;

use crate::files;

/// Reads the eIMs of a file.
///
/// # Errors
/// The file cannot be read, or is not the output of `landfall eim configuration`.
pub fn read(file: &Path) -> Result<Vec<EimConfigurationData>, Fault> {
    let invalid = |why: String| {
        let next = "give the output of `landfall eim configuration`";
        Fault::usage(format!("cannot use {} as the configuration of an eIM", file.display()), why, next)
    };
    let text = files::read_text(file)?;
    let printed: serde_json::Value =
        serde_json::from_str(&text).map_err(|error| invalid(error.to_string()))?;
    let octets = printed.get("addInitialEim").and_then(serde_json::Value::as_str);
    let octets = octets.ok_or_else(|| invalid("it has no member addInitialEim".to_owned()))?;
    let octets = hex::decode(octets).map_err(|error| invalid(error.to_string()))?;
    let request = AddInitialEimRequest::from_der(&octets).map_err(|error| invalid(error.to_string()))?;
    Ok(request.eim_configuration_data_list)
}
