//! Detection of the function that a request calls, in the standard's spelling:
//! `ES9+.GetBoundProfilePackage`, `ES3.CreateISDP`.

use bytes::Bytes;
use http::Request;
/// The paths of SGP.22 section 6.5.1 and their interfaces.
const PATHS: [(&str, &str); 5] =
    [("es2plus", "ES2+"), ("es9plus", "ES9+"), ("es11", "ES11"), ("es12", "ES12"), ("esipa", "ESipa")];

/// The tags of the functions in the ASN.1 binding: SGP.22 section 6.6 and SGP.32 section 6.3.
const TAGS: [(u8, &str); 8] = [
    (0x39, "InitiateAuthentication"),
    (0x3A, "GetBoundProfilePackage"),
    (0x3B, "AuthenticateClient"),
    (0x3D, "HandleNotification"),
    (0x41, "CancelSession"),
    (0x4E, "TransferEimPackage"),
    (0x4F, "GetEimPackage"),
    (0x50, "ProvideEimPackageResult"),
];

/// Returns the function that a request calls, or `None` if it cannot be determined.
///
/// The function follows from the path in the JSON binding of SGP.22, from the first tag in the
/// ASN.1 binding, and from the SOAP Action in SGP.02. A request of a card over HTTPS (SGP.02 ES5)
/// is `ES5.OpenSession`, or `ES5.Result` if it contains a result.
///
/// LPAs call the functions of ES11 by the paths of ES9+: see
/// [`crate::FaultInjector::link_to_sm_ds`].
pub fn function_of(request: &Request<Bytes>) -> Option<String> {
    let headers = request.headers();
    if headers.contains_key("x-admin-from") || headers.contains_key("x-admin-script-status") {
        let has_result = headers.contains_key("x-admin-script-status");
        return Some(if has_result { "ES5.Result" } else { "ES5.OpenSession" }.to_owned());
    }
    let named = by_path(request).or_else(|| by_action(request.body()))?;
    Some(match named.strip_prefix("ES9+.") {
        Some(function) if request.extensions().get::<AtSmDs>().is_some() => format!("ES11.{function}"),
        _ => named,
    })
}

/// Marks a request that is sent to an SM-DS.
#[derive(Clone, Copy)]
pub(crate) struct AtSmDs;

fn by_path(request: &Request<Bytes>) -> Option<String> {
    let rest = request.uri().path().strip_prefix("/gsma/rsp2/")?;
    if rest == "asn1" {
        let tag = request.body().windows(2).take(8).find(|pair| pair.first() == Some(&0xBF))?.get(1)?;
        let (_, function) = TAGS.iter().find(|(number, _)| number == tag)?;
        // A message of ESipa has no wrapper.
        let interface = if request.body().first() == Some(&0xBF) { "ESipa" } else { "ES9+" };
        return Some(format!("{interface}.{function}"));
    }
    let (interface, function) = rest.split_once('/')?;
    let (_, interface) = PATHS.iter().find(|(path, _)| *path == interface)?;
    let mut letters = function.chars();
    let first = letters.next()?.to_ascii_uppercase();
    Some(format!("{interface}.{first}{}", letters.as_str()))
}

/// `http://gsma.com/ES3/ProfileManagement/ES3-GetEISRequest` is `ES3.GetEIS`.
fn by_action(body: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(body).ok()?;
    let (_, action) = text.split_once(">http://gsma.com/")?;
    let (action, _) = action.split_once('<')?;
    let (interface, function) = action.rsplit('/').next()?.split_once('-')?;
    let function = function.strip_suffix("Request").or(function.strip_suffix("Response")).unwrap_or(function);
    Some(format!("{interface}.{function}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(path: &str, body: &'static [u8]) -> Option<String> {
        function_of(&Request::post(path).body(Bytes::from_static(body)).unwrap())
    }

    #[test]
    fn functions_are_detected_by_path_tag_action_and_header() {
        let named = |path, body| named(path, body).unwrap_or_default();
        assert_eq!(named("/gsma/rsp2/es9plus/getBoundProfilePackage", b""), "ES9+.GetBoundProfilePackage");
        assert_eq!(named("/gsma/rsp2/es2plus/downloadOrder", b""), "ES2+.DownloadOrder");
        assert_eq!(named("/gsma/rsp2/es12/registerEvent", b""), "ES12.RegisterEvent");
        assert_eq!(named("/gsma/rsp2/asn1", b"\xA2\x82\x01\x00\xBF\x3B\x81\x10"), "ES9+.AuthenticateClient");
        assert_eq!(named("/gsma/rsp2/asn1", b"\xBF\x4F\x12\x5A\x10"), "ESipa.GetEimPackage");
        assert_eq!(named("/gsma/rsp2/esipa/provideEimPackageResult", b""), "ESipa.ProvideEimPackageResult");
        let soap = b"<e:Header><a:Action>http://gsma.com/ES3/ProfileManagement/ES3-GetEISRequest</a:Action>";
        assert_eq!(named("/sgp02", soap), "ES3.GetEIS");
        let soap = b"<Action>http://gsma.com/ES2/ProfileManagementCallBack/ES2-DownloadProfile</Action>";
        assert_eq!(named("/sgp02", soap), "ES2.DownloadProfile");
        assert_eq!(named("/", b""), "");
        let mut to_sm_ds = Request::post("/gsma/rsp2/es9plus/authenticateClient").body(Bytes::new()).unwrap();
        to_sm_ds.extensions_mut().insert(AtSmDs);
        assert_eq!(function_of(&to_sm_ds).unwrap(), "ES11.AuthenticateClient");
        let es5 = |header| {
            let request = Request::post("/").header("X-Admin-From", "//se-id/eid/89").header(header, "ok");
            function_of(&request.body(Bytes::new()).unwrap()).unwrap_or_default()
        };
        assert_eq!(es5("X-Admin-Protocol"), "ES5.OpenSession");
        assert_eq!(es5("X-Admin-Script-Status"), "ES5.Result");
    }
}
