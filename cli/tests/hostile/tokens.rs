//! Wrong tokens at the check-in of the fleet.

use std::time::Instant;

use http::StatusCode;

use crate::{
    client::{ClientIdentity, HTTP_1, HttpCall, describe, tls},
    doors::{Door, Honest, doors},
    identities::{HOSTILE, refused, serves_the_honest},
    rounds,
    servers::{EID, OTHER_EID, Servers},
};

/// Returns check-ins with wrong tokens, given the right one.
fn wrong_tokens(honest: &HttpCall, token: &str, other: &str) -> Vec<(&'static str, HttpCall)> {
    const AUTHORIZATION: &str = "Authorization";
    let without = honest.clone().without(AUTHORIZATION);
    let header = |value: &str| without.clone().with(AUTHORIZATION, value);
    let bearer = |token: &str| header(&format!("Bearer {token}"));
    let body = |eid| HttpCall { body: honest.body.replace(EID, eid), ..honest.clone() };
    let path = |path: String| HttpCall { path, ..without.clone() };
    let flipped = |at: usize| {
        let digit = if &token[at..=at] == "0" { "1" } else { "0" };
        bearer(&format!("{}{digit}{}", &token[..at], &token[at + 1..]))
    };
    let last = token.len() - 1;
    let reversed: String = token.chars().rev().collect();
    vec![
        ("no token", without.clone()),
        ("empty header", header("")),
        ("scheme without a token", header("Bearer")),
        ("empty token", bearer("")),
        ("token without a scheme", header(token)),
        ("another scheme", header(&format!("Basic {token}"))),
        ("token of another device", bearer(other)),
        ("token of another device with this token", bearer(&format!("{other}, Bearer {token}"))),
        ("one digit missing at the end", bearer(&token[..last])),
        ("one octet missing at the end", bearer(&token[..last - 1])),
        ("one octet missing at the beginning", bearer(&token[2..])),
        ("half of the token", bearer(&token[..token.len() / 2])),
        ("one octet", bearer(&token[..2])),
        ("one digit more", bearer(&format!("{token}0"))),
        ("one octet more", bearer(&format!("{token}00"))),
        ("one octet more at the beginning", bearer(&format!("00{token}"))),
        ("token twice", bearer(&format!("{token}{token}"))),
        ("first digit changed", flipped(0)),
        ("last digit changed", flipped(last)),
        ("reversed token", bearer(&reversed)),
        ("zeros", bearer(&"0".repeat(token.len()))),
        ("not hexadecimal", bearer(&"g".repeat(token.len()))),
        ("blank inside", bearer(&format!("{} {}", &token[..10], &token[10..]))),
        ("quoted token", bearer(&format!("\"{token}\""))),
        ("8 KiB", bearer(&token.repeat(8192 / token.len()))),
        ("token in the query", path(format!("{}?token={token}", honest.path))),
        ("token in a cookie", without.clone().with("Cookie", format!("token={token}"))),
        ("another device with this token", body(OTHER_EID)),
        ("unknown device with this token", body("89049032000000000000000000000999")),
    ]
}

#[tokio::test]
async fn wrong_tokens_are_refused_at_once_at_the_check_in() {
    let _turn = crate::TURN.lock().await;
    let servers = Servers::start();
    let find = |it: &Door| it.server == "fleet" && it.interface == "platform";
    let door = doors(&servers).into_iter().find(find).unwrap();
    let Honest::Https(honest, _) = &door.honest else { panic!("the check-in has TLS") };
    for round in 0..rounds() {
        for (kind, call) in wrong_tokens(honest, &servers.token, &servers.token_of(OTHER_EID)) {
            let begun = Instant::now();
            let identity = ClientIdentity::NONE;
            let stream = tls(servers.root(), HOSTILE, door.address, identity, HTTP_1).await.unwrap();
            let response = call.send(stream).await.unwrap();
            assert_eq!(response.status(), StatusCode::UNAUTHORIZED, "{kind}: {}", describe(&response));
            if round == 0 {
                refused("check-in", kind, "HTTP 401", begun.elapsed());
                serves_the_honest(&door).await;
            }
        }
    }
    servers.check_memory();
}
