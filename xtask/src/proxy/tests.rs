#![allow(clippy::unwrap_used)]
use std::{
    io::{Read, Write},
    net::{Shutdown, TcpStream},
    thread,
    time::Instant,
};

use super::*;

/// Status line and body, or nothing if the connection was closed without an answer.
fn ask(url: &str, method: &str, path: &str) -> String {
    let mut stream = TcpStream::connect(url.strip_prefix("http://").unwrap()).unwrap();
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nhost: upstream.test\r\nconnection: close\r\n\r\n"
    )
    .unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or_default();
    format!("{} {body}", head.lines().next().unwrap_or_default())
        .trim()
        .to_owned()
}

#[test]
fn each_fault_does_what_it_says() {
    // a proxy that answers everything is a good upstream
    let upstream = Proxy::start(Upstream::Http("http://127.0.0.1:1".into())).unwrap();
    upstream.set_rules([Rule::new(Fault::answer(200, "yes"))]);
    let proxy = Proxy::start(Upstream::Http(upstream.url().to_owned())).unwrap();
    let ok = "HTTP/1.1 200 OK yes";
    let cases = [
        // fault, what three calls see, how many reach the upstream, forwarded as noted
        (Fault::DropBefore, [ok, "", ok], 2, [1, 0, 1]),
        (Fault::DropAfter, [ok, "", ok], 3, [1, 1, 1]),
        (Fault::Duplicate, [ok, ok, ok], 4, [1, 2, 1]),
        (
            Fault::answer(429, "later"),
            [ok, "HTTP/1.1 429 Too Many Requests later", ok],
            2,
            [1, 0, 1],
        ),
        (Fault::Delay(Duration::from_millis(60)), [ok, ok, ok], 3, [1, 1, 1]),
    ];
    for (fault, expected, reach, forwarded) in cases {
        upstream.forget_calls();
        proxy.forget_calls();
        proxy.set_rules([Rule::new(fault.clone()).method(Method::PUT).path("/x").nth(2)]);
        let began = Instant::now();
        let seen: Vec<String> = (0..3).map(|_| ask(proxy.url(), "PUT", "/a/x?y")).collect();
        assert_eq!(seen, expected, "{fault:?}");
        assert_eq!(upstream.calls().len(), reach, "{fault:?}");
        let calls = proxy.calls();
        assert_eq!(
            calls.iter().map(|call| call.forwarded).collect::<Vec<_>>(),
            forwarded,
            "{fault:?}"
        );
        assert!(calls.iter().all(|call| call.path == "/a/x?y" && call.writes()));
        assert_eq!(calls[1].status.is_none(), expected[1].is_empty(), "{fault:?}");
        // how long the others take is the machine's affair
        let late = began.elapsed() >= Duration::from_millis(60);
        assert!(late || !matches!(fault, Fault::Delay(_)), "{fault:?}");
        assert_eq!(ask(proxy.url(), "GET", "/a/x"), ok, "another method is left alone");
    }
}

#[test]
fn a_stopped_call_hangs_until_its_maker_is_gone() {
    let upstream = Proxy::start(Upstream::Http("http://127.0.0.1:1".into())).unwrap();
    upstream.set_rules([Rule::new(Fault::answer(201, "made"))]);
    let proxy = Proxy::start(Upstream::Http(upstream.url().to_owned())).unwrap();
    for (fault, reached) in [(Fault::StopBefore, 0), (Fault::StopAfter, 1)] {
        upstream.forget_calls();
        proxy.set_rules([Rule::new(fault).every(3, 1)]);
        let mut stream = TcpStream::connect(proxy.url().strip_prefix("http://").unwrap()).unwrap();
        write!(stream, "POST / HTTP/1.1\r\nhost: upstream.test\r\n\r\n").unwrap();
        let waiter = stream.try_clone().unwrap();
        let hanging = thread::spawn(move || {
            let mut waiter = waiter;
            waiter.read(&mut [0; 16]).unwrap_or(0)
        });
        let shared = Arc::clone(&proxy.shared);
        Background::start("waiter")
            .unwrap()
            .wait(async move { shared.stopped().await })
            .unwrap();
        assert_eq!(upstream.calls().len(), reached);
        assert!(!hanging.is_finished());
        stream.shutdown(Shutdown::Both).unwrap();
        assert_eq!(hanging.join().unwrap(), 0, "no answer, ever");
        assert_eq!(ask(proxy.url(), "POST", "/"), "HTTP/1.1 201 Created made");
    }
}

#[test]
fn a_stale_read_is_an_earlier_answer() {
    let upstream = Proxy::start(Upstream::Http("http://127.0.0.1:1".into())).unwrap();
    upstream.set_rules((1..=3).map(|n| Rule::new(Fault::answer(200, n.to_string())).nth(n)));
    let proxy = Proxy::start(Upstream::Http(upstream.url().to_owned())).unwrap();
    proxy.set_rules([Rule::new(Fault::Stale).every(2, 2)]);
    let seen: Vec<String> = (0..4).map(|_| ask(proxy.url(), "GET", "/x?y")).collect();
    assert_eq!(
        seen,
        [
            "HTTP/1.1 200 OK 1",
            "HTTP/1.1 200 OK 1",
            "HTTP/1.1 200 OK 2",
            "HTTP/1.1 200 OK 2"
        ]
    );
    assert_eq!(
        ask(proxy.url(), "PUT", "/x?y"),
        "HTTP/1.1 200 OK 3",
        "a write is never stale"
    );
}

#[test]
fn a_dead_upstream_is_noted_not_answered() {
    let proxy = Proxy::start(Upstream::Http("http://127.0.0.1:1".into())).unwrap();
    assert_eq!(ask(proxy.url(), "GET", "/"), "");
    let calls = proxy.calls();
    assert!(calls[0].status.is_none() && calls[0].error.is_some(), "{calls:?}");
}
