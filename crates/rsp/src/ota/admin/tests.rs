use super::*;

const EID: &str = "89001012012341234012345678901224";

fn post(result: Option<(ScriptStatus, Vec<u8>)>) -> Post {
    Post {
        uri: "/gsma/adminagent?msg=E100".to_owned(),
        host: "sm-sr.example:443".to_owned(),
        agent: AgentId { eid: EID.parse().unwrap() }.to_string(),
        resume: false,
        result,
    }
}

#[test]
fn the_agent_id_has_the_format_of_sgp_02() {
    let agent = post(None).agent;
    assert_eq!(agent, format!("//se-id/eid/{EID};//aa-id/aid/A000000559/1010FFFFFFFF8900000100"));
    assert_eq!(agent.parse::<AgentId>().map(|agent| agent.eid.to_string()), Ok(EID.to_owned()));
    for text in ["", "//se-id/eid/89", &agent.replace("0100", "0200"), &agent.replace("8900101", "890010x")] {
        assert!(text.parse::<AgentId>().is_err(), "{text}");
    }
}

#[test]
fn applications_are_formatted_as_paths() {
    let aid = Aid::isd_p(0x10);
    assert_eq!(application_path(&aid), "//aid/A000000559/1010FFFFFFFF8900001000");
    assert_eq!(application_of_path(&application_path(&aid)), Ok(aid));
    for path in ["", "//aid/A000000559", "//aid/A0000005/591010", "/aid/A000000559/10", "//aid/A000000559/1"]
    {
        assert!(application_of_path(path).is_err(), "{path}");
    }
}

#[test]
fn the_first_request_has_no_body() {
    let text = String::from_utf8(post(None).to_bytes()).unwrap();
    assert_eq!(
        text,
        format!(
            "POST /gsma/adminagent?msg=E100 HTTP/1.1\r\nHost: sm-sr.example:443\r\n\
             X-Admin-Protocol: globalplatform-remote-admin/1.0\r\n\
             X-Admin-From: //se-id/eid/{EID};//aa-id/aid/A000000559/1010FFFFFFFF8900000100\r\n\
             Content-Length: 0\r\n\r\n"
        )
    );
}

#[test]
fn a_response_script_is_sent_in_one_chunk() {
    let octets = post(Some((ScriptStatus::Ok, vec![0xAF; 17]))).to_bytes();
    let head = find(&octets, b"\r\n\r\n").unwrap();
    let text = std::str::from_utf8(&octets[..head]).unwrap();
    assert!(text.contains("\r\nTransfer-Encoding: chunked"), "{text}");
    assert!(text.contains("\r\nX-Admin-Script-Status: ok\r\n"), "{text}");
    let body = [b"11\r\n".as_slice(), &[0xAF; 17], b"\r\n0\r\n\r\n"].concat();
    assert_eq!(octets[head + 4..], body);
    assert_eq!(unchunked(&body), Ok(Some((vec![0xAF; 17], body.len()))));
}

fn request(post: &Post) -> http::request::Builder {
    http::Request::post(&post.uri)
        .header(HOST, &post.host)
        .header("X-Admin-Protocol", PROTOCOL)
        .header("X-Admin-From", &post.agent)
}

#[test]
fn a_server_decodes_the_requests_of_a_card() {
    let first = post(None);
    assert_eq!(Post::of_http(&request(&first).body(Bytes::new()).unwrap()), Ok(first.clone()));
    let second = Post { resume: true, ..post(Some((ScriptStatus::UnknownApplication, vec![1, 2]))) };
    let with_result = || {
        request(&second)
            .header("X-Admin-Script-Status", "unknown-application")
            .header(CONTENT_TYPE, RESPONSES.replace(';', "; "))
            .header("X-Admin-Resume", "true")
    };
    assert_eq!(Post::of_http(&with_result().body(Bytes::from_static(&[1, 2])).unwrap()), Ok(second.clone()));

    let path = |request: http::Request<Bytes>| Post::of_http(&request).unwrap_err().path;
    let body = || Bytes::from_static(&[1]);
    assert_eq!(path(request(&first).method("GET").body(Bytes::new()).unwrap()), "method");
    assert_eq!(path(request(&first).body(body()).unwrap()), "X-Admin-Script-Status");
    assert_eq!(path(http::Request::post("/").body(Bytes::new()).unwrap()), "X-Admin-Protocol");
    let unnamed = http::Request::post("/").header("X-Admin-Protocol", PROTOCOL);
    assert_eq!(path(unnamed.body(Bytes::new()).unwrap()), "X-Admin-From");
    let untyped = request(&first).header("X-Admin-Script-Status", "ok");
    assert_eq!(path(untyped.body(body()).unwrap()), "Content-Type");
}

fn octets(response: &http::Response<Bytes>, chunk: usize) -> Vec<u8> {
    let mut out = format!("HTTP/1.1 {} x\r\n", response.status().as_u16()).into_bytes();
    for (name, value) in response.headers() {
        out.extend_from_slice(format!("{name}: {}\r\n", value.to_str().unwrap()).as_bytes());
    }
    if response.status() == 204 {
        return [out, b"\r\n".to_vec()].concat();
    }
    out.extend_from_slice(b"transfer-encoding: chunked\r\n\r\n");
    for part in response.body().chunks(chunk) {
        out.extend_from_slice(format!("{:x}\r\n", part.len()).as_bytes());
        out.extend_from_slice(part);
        out.extend_from_slice(b"\r\n");
    }
    [out, b"0\r\n\r\n".to_vec()].concat()
}

#[test]
fn a_card_decodes_responses_split_at_any_point() {
    let commands = Reply::Commands {
        target: Some(Aid::isd_p(0x11)),
        next_uri: Some("/next".to_owned()),
        script: (0..200).collect(),
    };
    let all = [
        octets(&commands.to_http().unwrap(), 64),
        octets(&Reply::End.to_http().unwrap(), 1),
        octets(&Reply::Refused(503).to_http().unwrap(), 1),
    ]
    .concat();
    for cut in [1, 2, 3, 7, 64, 1000] {
        let mut reader = ReplyReader::default();
        let mut found = Vec::new();
        for part in all.chunks(cut) {
            let mut part = part;
            while let Some(reply) = reader.push(part).unwrap() {
                found.push(reply);
                part = &[];
            }
        }
        assert_eq!(found, [commands.clone(), Reply::End, Reply::Refused(503)], "{cut}");
        assert_eq!(reader, ReplyReader::default());
    }
}

#[test]
fn a_body_with_content_length_is_accepted() {
    let response = format!(
        "HTTP/1.1 200 OK\r\nX-Admin-Protocol: {PROTOCOL}\r\nContent-Type: {COMMANDS}\r\nContent-Length: 3\r\n\r\nabc"
    );
    let reply = ReplyReader::default().push(response.as_bytes());
    let expected = Reply::Commands { target: None, next_uri: None, script: b"abc".to_vec() };
    assert_eq!(reply, Ok(Some(expected)));
}

// req: GPC-B-3-ContentType
#[test]
fn invalid_responses_are_refused() {
    let ok = format!("HTTP/1.1 200 OK\r\nX-Admin-Protocol: {PROTOCOL}\r\nContent-Type: {COMMANDS}\r\n");
    for response in [
        "SSH-2.0-x\r\n\r\n".to_owned(),
        "HTTP/1.1 abc\r\n\r\n".to_owned(),
        "HTTP/1.1 200 OK\r\n\r\n".to_owned(),
        "HTTP/1.1 200 OK\r\nbroken\r\n\r\n".to_owned(),
        format!("HTTP/1.1 200 OK\r\nX-Admin-Protocol: {PROTOCOL}\r\n\r\n"),
        format!("{ok}X-Admin-Targeted-Application: ISD-R\r\n\r\n"),
        format!("{ok}Content-Length: many\r\n\r\n"),
        format!("{ok}Content-Length: 99999999\r\n\r\n"),
        format!("{ok}Transfer-Encoding: gzip\r\n\r\n"),
        format!("{ok}Transfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n"),
        format!("{ok}Transfer-Encoding: chunked\r\n\r\nxyz\r\n"),
        format!("{ok}Transfer-Encoding: chunked\r\n\r\nFFFFFFFF\r\n"),
        format!("{ok}Transfer-Encoding: chunked\r\n\r\n1\r\nabc\r\n"),
        format!("{ok}Transfer-Encoding: chunked\r\n\r\n0\r\nTrailer: {}\r\n\r\n", "x".repeat(MAX_LINE)),
        format!("{ok}Transfer-Encoding: chunked\r\n\r\n0\r\n{}", "T: x\r\n".repeat(MAX_HEAD)),
        format!("{ok}X: {}\r\n\r\n", "x".repeat(MAX_HEAD)),
        "x".repeat(MAX_HEAD + 1),
    ] {
        assert!(ReplyReader::default().push(response.as_bytes()).is_err(), "{response}");
    }
}
