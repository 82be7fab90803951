//! The functions of the SM-DP+, and its part in the request loop.

use rsp::{
    sgp22::{es2plus as es2, es9plus as es9},
    status::Refusal,
    time::Timestamp,
};
use rsp_server::{Core, Function, Interface, Route, Server, Settings};
use world::{Collection, Fault, Tx};

use crate::{
    config::Config,
    credentials::Credentials,
    es2plus::{self, Caller},
    es9plus,
    records::{Awaits, OUTBOX, SESSIONS, Session},
    server::SmDpPlus,
};

const ES9_PLUS: Interface = Interface { name: "ES9+", peer: "LPA", paths: &[es9::path] };
const ES2_PLUS: Interface = Interface { name: "ES2+", peer: "operator", paths: &[es2::path] };

/// Boxes the decision of a function's file.
macro_rules! at {
    ($file:ident in es9plus) => {
        |context, (), request| Box::pin(es9plus::$file::execute(context, request))
    };
    ($file:ident in es2plus) => {
        |context, caller, request| Box::pin(es2plus::$file::execute(context, caller, request))
    };
}

impl Server for SmDpPlus {
    const NAME: &'static str = "SM-DP+";
    const FUNCTIONS: &'static [&'static dyn Route<Self>] = &[
        &Function::of_lpa::<es9::InitiateAuthentication>(&ES9_PLUS, at!(initiate_authentication in es9plus))
            .opening_a_session(),
        &Function::of_lpa::<es9::AuthenticateClient>(&ES9_PLUS, at!(authenticate_client in es9plus)),
        &Function::of_lpa::<es9::GetBoundProfilePackage>(
            &ES9_PLUS,
            at!(get_bound_profile_package in es9plus),
        ),
        &Function::of_lpa::<es9::CancelSession>(&ES9_PLUS, at!(cancel_session in es9plus)),
        &Function::of_notifications(&ES9_PLUS, at!(handle_notification in es9plus)),
        &Function::of_peer::<es2::DownloadOrder>(&ES2_PLUS, Caller::of, at!(download_order in es2plus)),
        &Function::of_peer::<es2::ConfirmOrder>(&ES2_PLUS, Caller::of, at!(confirm_order in es2plus)),
        &Function::of_peer::<es2::CancelOrder>(&ES2_PLUS, Caller::of, at!(cancel_order in es2plus)),
        &Function::of_peer::<es2::ReleaseProfile>(&ES2_PLUS, Caller::of, at!(release_profile in es2plus)),
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

    fn posted(tx: &Tx<'_>) -> Vec<String> {
        tx.written_keys(&OUTBOX)
    }

    async fn send_posted(&self, posted: &[String]) -> Result<Option<Refusal>, Fault> {
        let refusal = self.register_events(posted).await;
        self.wake();
        refusal
    }
}

impl rsp_server::Session for Session {
    fn expires(&self) -> Timestamp {
        self.expires
    }

    fn is_authenticated(&self) -> bool {
        !matches!(self.awaits, Awaits::AuthenticateClient { .. })
    }
}
