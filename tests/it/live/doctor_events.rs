//! `kvroute live doctor` where KV events or the tokenizer are wrong.

use super::doctor::{closed, examine, tokenizer, with_events};
use super::stand_in::{HEALTHY, TEMPLATE, folder, folder_of_bytes};

#[test]
fn a_tokenizer_that_is_not_the_servers() {
    let (theirs, ours) = (folder_of_bytes(), folder(TEMPLATE));
    let (_server, [worker, events]) = with_events(HEALTHY, theirs.path());
    let examined = examine("", &[&worker, &events, &tokenizer(&ours)]);
    examined.failed(&["tokenizer", "kv-blocks"]).warned(&[]);
    let parts = ["--tokenizer is not that of the server's model", "folder of the model"];
    examined.says("tokenizer", "fail", &parts).says("kv-blocks", "fail", &parts);
}

#[test]
fn a_chat_template_that_is_not_the_servers() {
    let (theirs, ours) = (folder("<s>Be kind.\n{{ messages[0].content }}\nI: "), folder(TEMPLATE));
    let (_server, [worker, events]) = with_events(HEALTHY, theirs.path());
    let examined = examine("", &[&worker, &events, &tokenizer(&ours)]);
    examined.failed(&["tokenizer", "kv-blocks"]).warned(&[]);
    for check in ["tokenizer", "kv-blocks"] {
        examined.says(check, "fail", &["another chat template", "--chat-template"]);
    }
}

#[test]
fn events_without_the_models_tokenizer() {
    let (_server, [worker, events]) = with_events(HEALTHY, folder(TEMPLATE).path());
    let examined = examine("", &[&worker, &events]);
    examined.failed(&["kv-blocks"]).warned(&[]);
    examined.says("kv-blocks", "fail", &["no --tokenizer was given", "with --tokenizer"]);
}

#[test]
fn events_from_a_closed_port() {
    let folder = folder(TEMPLATE);
    let (_taken, address) = closed();
    let (_server, [worker, _]) = with_events(HEALTHY, folder.path());
    let events = format!("--kv-events-endpoint=tcp://{address}");
    let examined = examine("", &[&worker, &events, &tokenizer(&folder)]);
    examined.failed(&["kv-events"]).warned(&[]).says(
        "kv-events",
        "fail",
        &[&address, "refused", "no worker publishes there", "--kv-events-config", "bind:tcp://"],
    );
    examined.says("kv-blocks", "skip", &["no event told"]);
}

#[test]
fn events_from_a_port_that_is_the_servers_own() {
    let folder = folder(TEMPLATE);
    let (server, [worker, _]) = with_events(HEALTHY, folder.path());
    let events = format!("--kv-events-endpoint=tcp://127.0.0.1:{}", server.port());
    let examined = examine("", &[&worker, &events, &tokenizer(&folder)]);
    examined.failed(&["kv-events"]).warned(&[]);
    examined.says("kv-events", "fail", &["no publisher of ZMQ messages", "check the port"]);
}

#[test]
fn events_for_which_both_sides_bind() {
    let folder = folder(TEMPLATE);
    let (_server, [worker, _]) = with_events(HEALTHY, folder.path());
    let bind = "--kv-events-endpoint=bind:tcp://127.0.0.1:0";
    let examined = examine("", &[&worker, bind, &tokenizer(&folder)]);
    examined.failed(&["kv-events"]).warned(&[]).says(
        "kv-events",
        "fail",
        &["no worker has connected to us", "it binds and waits", "is given without bind:"],
    );
}

#[test]
fn events_of_another_worker() {
    let folder = folder(TEMPLATE);
    let (_other, [_, events]) = with_events(HEALTHY, folder.path());
    let (_server, [worker, _]) = with_events(HEALTHY, folder.path());
    let examined = examine("", &[&worker, &events, &tokenizer(&folder)]);
    examined.failed(&["kv-events"]).warned(&[]);
    examined.says("kv-events", "fail", &["connected, but nothing is told", "another worker's"]);
}

#[test]
fn events_in_another_order_than_the_workers() {
    let folder = folder(TEMPLATE);
    let (_first, [first, its_events]) = with_events(HEALTHY, folder.path());
    let (_second, [second, the_others]) = with_events(HEALTHY, folder.path());
    let options = [&first, &second, &the_others, &its_events, &tokenizer(&folder)];
    let examined = examine("", &options.map(String::as_str));
    assert_eq!(examined.of("fail"), ["kv-blocks", "kv-blocks"], "{:#}", examined.whole);
    let text = examined.whole.to_string();
    assert!(text.contains("its own --kv-events-endpoint, in the same order"), "{text}");
}

#[test]
fn a_replay_that_is_not_there() {
    let folder = folder(TEMPLATE);
    let (_taken, address) = closed();
    let (_server, [worker, events]) = with_events(HEALTHY, folder.path());
    let replay = format!("--kv-replay-endpoint=tcp://{address}");
    let examined = examine("", &[&worker, &events, &replay, &tokenizer(&folder)]);
    examined.failed(&["kv-replay"]).warned(&[]);
    examined.says("kv-replay", "fail", &[&address, "replay_endpoint", "--zmq-replay-ports"]);
}
