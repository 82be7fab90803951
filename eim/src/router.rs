//! The functions of the eIM, and its part in the request loop.

use rsp::{
    der::{DecodeError, Tag},
    sgp32::esipa::{self, MessageFromEim as Message},
};
use rsp_server::{Core, Route, Server, Settings};
use world::Collection;

use crate::{
    config::Config,
    credentials::Credentials,
    esipa::{
        Function, Notifications, authenticate_client, cancel_session, get_bound_profile_package,
        get_eim_package, handle_notification, initiate_authentication, provide_eim_package_result,
    },
    records::{SESSIONS, Session},
    server::Eim,
};

impl Server for Eim {
    const NAME: &'static str = "eIM";
    const FUNCTIONS: &'static [&'static dyn Route<Self>] = &[
        &Function::of::<esipa::GetEimPackage>(Message::GetEimPackageResponse, |call, request| {
            Box::pin(get_eim_package::execute(call, request))
        }),
        &Function::of::<esipa::ProvideEimPackageResult>(
            Message::ProvideEimPackageResultResponse,
            |call, request| Box::pin(provide_eim_package_result::execute(call, request)),
        ),
        &Notifications(|call, request| Box::pin(handle_notification::execute(call, request))),
        &Function::of::<esipa::InitiateAuthentication>(
            Message::InitiateAuthenticationResponse,
            |call, request| Box::pin(initiate_authentication::execute(call, request)),
        )
        .opening_a_session(),
        &Function::of::<esipa::AuthenticateClient>(Message::AuthenticateClientResponse, |call, request| {
            Box::pin(authenticate_client::execute(call, request))
        }),
        &Function::of::<esipa::GetBoundProfilePackage>(
            Message::GetBoundProfilePackageResponse,
            |call, request| Box::pin(get_bound_profile_package::execute(call, request)),
        ),
        &Function::of::<esipa::CancelSession>(Message::CancelSessionResponse, |call, request| {
            Box::pin(cancel_session::execute(call, request))
        }),
    ];
    const SESSIONS: Collection<Session> = SESSIONS;

    type Config = Config;
    type Credentials = Credentials;
    type Session = Session;

    fn core(&self) -> &Core<Config, Credentials> {
        &self.0.core
    }

    fn settings(config: &Config) -> &Settings {
        &config.server
    }

    fn function_tag(body: &[u8]) -> Result<Tag, DecodeError> {
        esipa::asn1::function_tag(body)
    }
}
