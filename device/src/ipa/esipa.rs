//! ESipa from the IPA's side: SGP.32 sections 5.14 and 6.

use bytes::Bytes;
use http::Response;
use rsp::finding;
use rsp::ids::Version;
use rsp::sgp22::Function;
use rsp::sgp32::eim_configuration::protocols;
use rsp::sgp32::esipa::{
    self, AuthenticateClientRequest, AuthenticateClientResponse, CancelSessionRequest, CancelSessionResponse,
    EimPackageError, GetBoundProfilePackageRequest, GetBoundProfilePackageResponse, GetEimPackageRequest,
    GetEimPackageResponse, HandleNotificationRequest, InitiateAuthenticationRequest,
    InitiateAuthenticationResponse, MessageFromIpa, ProvideEimPackageResultRequest,
    ProvideEimPackageResultResponse, Reply,
};
use rsp::sgp32::{self, EimConfigurationData};
use serde::Serialize;
use world::{Call, CallError, CardInterface, Fault, Link, LinkFault, Outcome};

use super::{Connectivity, Ipa};
use crate::EventSource;
use crate::lpa::HttpTraffic;
use crate::modem::Registered;

/// A binding of ESipa.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Binding {
    /// ASN.1 over HTTPS: section 6.3.
    Asn1,
    /// JSON over HTTPS: section 6.4.
    Json,
    /// ASN.1 over CoAP and DTLS: section 6.1.1.
    Coap,
}

impl Binding {
    /// Returns the binding for an eIM: ASN.1, over HTTPS unless the eIM supports only CoAP.
    // req: SGP.32-2.11.1.1.1-Protocol
    fn of(eim: &EimConfigurationData) -> Self {
        let supports =
            |protocol| eim.eim_supported_protocol.as_ref().is_some_and(|supported| supported.has(protocol));
        match supports(protocols::RETRIEVE_COAPS) && !supports(protocols::RETRIEVE_HTTPS) {
            true => Self::Coap,
            false => Self::Asn1,
        }
    }

    /// Returns the protocol of this binding ([`protocols`]).
    pub(super) fn protocol(self) -> usize {
        match self {
            Self::Asn1 | Self::Json => protocols::RETRIEVE_HTTPS,
            Self::Coap => protocols::RETRIEVE_COAPS,
        }
    }
}

/// The reason why a request to an eIM has no reply, with advice.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EsipaError {
    /// No link to the eIM can be made.
    #[error("{0}")]
    Setup(String),
    /// There was no response.
    #[error("{function}: {fault}; {}", .fault.next())]
    Link {
        /// The function.
        function: &'static str,
        /// The reason.
        fault: LinkFault,
    },
    /// The response is not a valid response of the function.
    #[error("{function}: {why}; check that the address is that of an eIM, and check its log")]
    Answer {
        /// The function.
        function: &'static str,
        /// The violation.
        why: String,
    },
}

/// A client of one eIM, over one link.
pub(super) struct Esipa<'a> {
    link: Link,
    eim_id: String,
    binding: Binding,
    peer_version: sgp32::Version,
    version: Version,
    user_agent: &'static str,
    /// Maximum attempts for a request that gets no response.
    tries: u32,
    events: &'a EventSource,
    traffic: &'a mut HttpTraffic,
}

/// A function, and its message in the ASN.1 binding.
macro_rules! calls {
    ($($(#[$meta:meta])* $name:ident: $function:ident, $request:ty => $reply:ty, $message:ident, $refusal:expr;)+) => {
        impl Esipa<'_> { $(
            $(#[$meta])*
            pub(super) async fn $name(&mut self, request: $request) -> Result<$reply, EsipaError> {
                self.call::<esipa::$function>(request, MessageFromIpa::$message, $refusal).await
            }
        )+ }
    };
}

calls! {
    /// ESipa.InitiateAuthentication: section 5.14.1.
    initiate_authentication: InitiateAuthentication, InitiateAuthenticationRequest => InitiateAuthenticationResponse,
        InitiateAuthenticationRequest, |reply| match reply {
            InitiateAuthenticationResponse::Ok(_) => None,
            InitiateAuthenticationResponse::Error(code) => Some(code.to_string()),
        };
    /// ESipa.AuthenticateClient: section 5.14.3.
    authenticate_client: AuthenticateClient, AuthenticateClientRequest => AuthenticateClientResponse,
        AuthenticateClientRequest, |reply| match reply {
            AuthenticateClientResponse::OkDp(_) | AuthenticateClientResponse::OkDs(_) => None,
            AuthenticateClientResponse::Error(code) => Some(code.to_string()),
        };
    /// ESipa.GetBoundProfilePackage: section 5.14.2.
    get_bound_profile_package: GetBoundProfilePackage, GetBoundProfilePackageRequest => GetBoundProfilePackageResponse,
        GetBoundProfilePackageRequest, |reply| match reply {
            GetBoundProfilePackageResponse::Ok(_) => None,
            GetBoundProfilePackageResponse::Error(code) => Some(code.to_string()),
        };
    /// ESipa.CancelSession: section 5.14.8.
    cancel_session: CancelSession, CancelSessionRequest => CancelSessionResponse,
        CancelSessionRequest, |reply| match reply {
            CancelSessionResponse::Ok(_) => None,
            CancelSessionResponse::Error(code) => Some(code.to_string()),
        };
    /// ESipa.GetEimPackage: section 5.14.5.
    get_eim_package: GetEimPackage, GetEimPackageRequest => GetEimPackageResponse,
        GetEimPackageRequest, |reply| match reply {
            GetEimPackageResponse::EimPackageError(code)
                if *code != EimPackageError::NO_EIM_PACKAGE_AVAILABLE => Some(code.to_string()),
            _ => None,
        };
    /// ESipa.ProvideEimPackageResult: section 5.14.6.
    provide_eim_package_result: ProvideEimPackageResult, ProvideEimPackageResultRequest => ProvideEimPackageResultResponse,
        ProvideEimPackageResult, |reply| match reply {
            ProvideEimPackageResultResponse::ProvideEimPackageResultError(code) => Some(code.to_string()),
            _ => None,
        };
}

impl Esipa<'_> {
    /// ESipa.HandleNotification: section 5.14.7. The notification is accepted if the response has a 2xx
    /// status.
    pub(super) async fn handle_notification(
        &mut self,
        request: HandleNotificationRequest,
    ) -> Result<(), EsipaError> {
        let read = |response: &Response<Bytes>| match response.status().is_success() {
            true => Ok(()),
            false => Err(format!("HTTP status {}", response.status())),
        };
        let message = MessageFromIpa::HandleNotification;
        self.send::<esipa::HandleNotification, _>(request, message, read, |_| None).await
    }

    async fn call<F>(
        &mut self,
        request: F::Request,
        message: impl FnOnce(F::Request) -> MessageFromIpa,
        refusal: impl Fn(&F::Reply) -> Option<String>,
    ) -> Result<F::Reply, EsipaError>
    where
        F: Function<Request: Serialize, Reply: Reply>,
    {
        let binding = self.binding;
        let read = move |response: &Response<Bytes>| match binding {
            Binding::Asn1 | Binding::Coap => esipa::asn1::answer(response).map_err(|error| error.to_string()),
            Binding::Json => esipa::json::answer(response).map_err(|error| error.to_string()),
        };
        self.send::<F, _>(request, message, read, refusal).await
    }

    /// Sends the same octets until there is a response, at most [`Self::tries`] times.
    async fn send<F, T>(
        &mut self,
        request: F::Request,
        message: impl FnOnce(F::Request) -> MessageFromIpa,
        read: impl Fn(&Response<Bytes>) -> Result<T, String>,
        refusal: impl Fn(&T) -> Option<String>,
    ) -> Result<T, EsipaError>
    where
        F: Function<Request: Serialize>,
    {
        // req: SGP.32-6.1-UserAgent
        let http = match self.binding {
            Binding::Json => esipa::json::request::<F>(self.version, self.user_agent, &request),
            Binding::Asn1 | Binding::Coap => {
                esipa::asn1::request(self.version, self.peer_version, self.user_agent, &message(request))
            }
        };
        let function = F::NAME;
        let mut tries_left = self.tries.max(1);
        loop {
            tries_left = tries_left.saturating_sub(1);
            let call = Call::send(&self.link, http.clone()).await;
            self.traffic.count(call.sent, call.received);
            let (result, findings) = finding::collect(|| match call.result {
                Ok(response) => read(&response).map_err(|why| EsipaError::Answer { function, why }),
                Err(CallError::Link(fault)) => Err(EsipaError::Link { function, fault }),
                // Only the decoder of the other bindings returns these.
                Err(error) => Err(EsipaError::Answer { function, why: error.to_string() }),
            });
            let outcome = match &result {
                Ok(reply) => refusal(reply).map_or(Outcome::Done, Outcome::Refused),
                Err(error) => Outcome::Failed(error.to_string()),
            };
            let event = self.events.event(F::title()).with_peer("ESipa", self.eim_id.clone());
            let event = event.with_bytes(call.sent, call.received).with_outcome(outcome);
            self.events.emit(event.with_findings(findings));
            match result {
                Err(EsipaError::Link { .. }) if tries_left > 0 => {}
                result => return result,
            }
        }
    }
}

/// The connection to the eIM that was visited last.
pub(super) struct Connected {
    eim: EimConfigurationData,
    /// The registration over which the connection was opened.
    registered: Option<Registered>,
    link: Link,
}

impl<D: CardInterface, C: Connectivity> Ipa<D, C> {
    /// Returns a client of an eIM. A connection is used again until the device registers again.
    pub(super) fn esipa(&mut self, eim: &EimConfigurationData) -> Result<Esipa<'_>, EsipaError> {
        let binding = self.settings.binding.unwrap_or_else(|| Binding::of(eim));
        let registered = self.connectivity.registered();
        let is_open = |open: &&Connected| open.eim == *eim && open.registered.as_ref() == registered;
        let link = match self.connected.as_ref().filter(is_open) {
            Some(open) => open.link.clone(),
            None => {
                let link = self.eims.link(eim, binding);
                let link = link.map_err(|fault: Fault| EsipaError::Setup(fault.to_string()))?;
                let registered = registered.cloned();
                self.connected = Some(Connected { eim: eim.clone(), registered, link: link.clone() });
                link
            }
        };
        Ok(Esipa {
            link,
            eim_id: eim.eim_id.clone(),
            binding,
            peer_version: self.settings.peer_version,
            version: self.settings.device.version,
            user_agent: self.settings.device.user_agent,
            tries: self.settings.device.request_tries,
            events: &self.events,
            traffic: &mut self.http,
        })
    }
}

#[cfg(test)]
mod tests {
    use rsp::der::BitString;

    use super::*;

    #[test]
    fn an_eim_is_called_over_coap_only_if_it_does_not_support_https() {
        let (https, coaps) = (protocols::RETRIEVE_HTTPS, protocols::RETRIEVE_COAPS);
        for (supported, binding) in [
            (&[][..], Binding::Asn1),
            (&[https], Binding::Asn1),
            (&[https, coaps], Binding::Asn1),
            (&[coaps], Binding::Coap),
        ] {
            let eim_supported_protocol = Some(BitString::of(supported));
            let eim = EimConfigurationData { eim_supported_protocol, ..EimConfigurationData::default() };
            assert_eq!(Binding::of(&eim), binding, "{supported:?}");
        }
        assert_eq!(Binding::of(&EimConfigurationData::default()), Binding::Asn1);
    }
}
