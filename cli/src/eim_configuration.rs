//! The configuration of eIMs in a file: the output of `landfall eim configuration`.

use std::path::Path;

use rsp::{
    der::Asn1,
    sgp32::{EimConfigurationData, es10b::AddInitialEimRequest},
};
use serde_json::Value;
use world::Fault;

use crate::files;

/// Reads the configurations in a file, which is the output of `landfall eim configuration`.
///
/// # Errors
/// The file cannot be read, or is not such a configuration.
pub(crate) fn read(file: &Path) -> Result<Vec<EimConfigurationData>, Fault> {
    let text = files::read_text(file)?;
    let read = || -> Result<_, String> {
        of_output(&serde_json::from_str(&text).map_err(|error| error.to_string())?)
    };
    read().map_err(|why| {
        let next = "give the output of `landfall eim configuration`";
        Fault::usage(format!("cannot use {} as the configuration of an eIM", file.display()), why, next)
    })
}

/// Returns the configurations in the output of `landfall eim configuration`.
///
/// # Errors
/// The reason why it is invalid.
pub(crate) fn of_output(printed: &Value) -> Result<Vec<EimConfigurationData>, String> {
    let octets = printed.get("addInitialEim").and_then(Value::as_str);
    let octets = octets.ok_or_else(|| "it has no member addInitialEim".to_owned())?;
    let octets = hex::decode(octets).map_err(|error| error.to_string())?;
    let request = AddInitialEimRequest::from_der(&octets).map_err(|error| error.to_string())?;
    Ok(request.eim_configuration_data_list)
}
