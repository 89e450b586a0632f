//! Lineage events: their form, the places that they go to, and what they tell of runs that ended badly.
#![cfg(all(feature = "json", feature = "parquet", feature = "ipc", feature = "lineage"))]

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use pixelfeat::io;
use pixelfeat::lineage::{DIGEST_KEY, Digest};
use serde_json::{Value, json};

use crate::cli::{Place, text};
use crate::lineage::{digits, done, featurize, inspected, record};
use crate::openlineage;
use crate::support::example;

fn events(place: &Place, file: &str) -> Vec<Value> {
    let text = fs::read_to_string(place.path(file)).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn kinds(events: &[Value]) -> Vec<&str> {
    events.iter().map(|event| event["eventType"].as_str().unwrap()).collect()
}

#[test]
fn events_have_the_form_of_their_schemas() {
    let place = Place::new();
    digits(&place, "a.ndjson", 20, 1);
    digits(&place, "b.ndjson", 20, 2);
    place.file(
        "checks.json",
        r#"{"checks": [{"rule": "not_null", "column": "label"}, {"rule": "max", "column": "label", "max": 3}]}"#,
    );
    place.file("good.json", r#"{"checks": [{"rule": "not_null", "column": "label"}]}"#);
    let lineage = ["--lineage", "events.jsonl", "-q", "--digest", "-o", "out.parquet", "--profile", "p.json"];
    done(&place, &[&["a.ndjson", "--check", "good.json"][..], &lineage].concat());
    let bytes = fs::metadata(place.path("out.parquet")).unwrap().len();
    done(&place, &[&["a.ndjson", "b.ndjson", "--check", "good.json", "--lineage-job", "both"][..], &lineage].concat());
    let failed = featurize(&place, &[&["a.ndjson", "--check", "checks.json"][..], &lineage].concat(), &[]);
    assert_eq!(failed.status.code(), Some(3));
    let missing = featurize(&place, &["none.ndjson", "--lineage", "events.jsonl"], &[]);
    assert_eq!(missing.status.code(), Some(1));
    let events = events(&place, "events.jsonl");
    assert_eq!(kinds(&events), ["START", "COMPLETE", "START", "COMPLETE", "START", "FAIL", "START", "FAIL"]);
    let complete = &events[1];
    assert_eq!(complete["run"]["runId"], events[0]["run"]["runId"]);
    assert_eq!((&complete["job"]["name"], &events[2]["job"]["name"]), (&json!("featurize.out"), &json!("both")));
    let input = &complete["inputs"][0];
    assert_eq!(input["inputFacets"]["inputStatistics"]["rowCount"], 20);
    assert_eq!(input["inputFacets"]["dataQualityMetrics"]["columnMetrics"]["label"]["nullCount"], 0);
    assert_eq!(input["inputFacets"]["dataQualityAssertions"]["assertions"][0]["success"], true);
    assert!(input["facets"]["version"]["datasetVersion"].as_str().unwrap().starts_with("blake3:"));
    let output = &complete["outputs"][0];
    let statistics = &output["outputFacets"]["outputStatistics"];
    assert_eq!((&statistics["rowCount"], statistics["size"].as_u64()), (&json!(20), Some(bytes)));
    let digest = io::read_footer(place.path("out.parquet")).unwrap().remove(DIGEST_KEY).unwrap();
    let digest = Digest::from_json(&serde_json::from_str(&digest).unwrap()).unwrap();
    assert_eq!(events[3]["outputs"][0]["facets"]["version"]["datasetVersion"], digest.to_string());
    let of_block = &output["facets"]["columnLineage"]["fields"]["features.row_sums"]["inputFields"][0];
    assert_eq!((&of_block["field"], &of_block["name"]), (&json!("image"), &input["name"]));
    let record = record(&place, "out.parquet");
    assert_eq!(events[3]["run"]["facets"]["pixelfeat_record"]["id"], record.id.to_string());
    assert!(
        events[3]["outputs"][0]["facets"]["dataQualityAssertions"].is_object(),
        "several inputs: told of the output"
    );
    let failed = &events[5];
    assert!(failed["run"]["facets"]["errorMessage"]["message"].as_str().unwrap().contains("checks failed"));
    assert_eq!(failed["inputs"][0]["inputFacets"]["dataQualityAssertions"]["assertions"][1]["success"], false);

    let Some(schemas) = openlineage::Schemas::beside() else { return };
    let mut used = std::collections::BTreeSet::new();
    for event in &events {
        assert_eq!(schemas.faults(event), [""; 0], "{event:#}");
        used.extend(openlineage::facets(event).into_iter().map(|(_, facet)| facet["_schemaURL"].to_string()));
    }
    assert_eq!(used.len(), 12, "{used:?}");
    // The comparison notices what is wrong.
    let wrong: [(&str, Value); 5] = [
        ("/eventTime", json!("today")),
        ("/run/runId", json!("1")),
        ("/eventType", json!("END")),
        ("/outputs/0/facets/schema/fields/0", json!({ "type": "x" })),
        ("/outputs/0/outputFacets/outputStatistics/rowCount", json!("20")),
    ];
    for (pointer, value) in wrong {
        let mut event = complete.clone();
        *event.pointer_mut(pointer).unwrap() = value;
        assert_eq!(schemas.faults(&event).len(), 1, "{pointer}");
    }
}

/// A server on this machine that answers with these statuses, one after another, and then with 201. Its address, and what it
/// was sent with status 201, in order.
fn server(statuses: &'static [u16]) -> (String, thread::JoinHandle<Vec<(String, Value)>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let work = move || {
        let (mut taken, mut statuses) = (Vec::new(), statuses.iter());
        while taken.len() < 2 {
            let (stream, _) = listener.accept().unwrap();
            let status = statuses.next().copied().unwrap_or(201);
            let (head, body) = request(&stream);
            write!(&stream, "HTTP/1.1 {status} -\r\nContent-Length: 4\r\nConnection: close\r\n\r\nwhy?").unwrap();
            if status == 201 {
                taken.push((head, serde_json::from_slice(&body).unwrap()));
            }
        }
        taken
    };
    (address, thread::spawn(work))
}

/// The head and the body of a request.
fn request(stream: &TcpStream) -> (String, Vec<u8>) {
    let mut reader = BufReader::new(stream);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        assert!(reader.read_line(&mut head).unwrap() > 0, "{head}");
    }
    let length = head.to_lowercase().lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
    let mut body = vec![0; length.unwrap()];
    reader.read_exact(&mut body).unwrap();
    (head, body)
}

#[test]
fn a_server_that_fails_twice_gets_all_events_in_order() {
    let place = Place::new();
    let (address, server) = server(&[503, 500]);
    let key = [("OPENLINEAGE_API_KEY", "secret"), ("OPENLINEAGE_NAMESPACE", "team")];
    let output = featurize(&place, &["--limit", "5", "-o", "out.parquet", "--lineage", &address], &key);
    assert!(output.status.success() && text(&output.stderr).is_empty(), "{}", text(&output.stderr));
    let taken = server.join().unwrap();
    let events: Vec<Value> = taken.iter().map(|(_, event)| event.clone()).collect();
    assert_eq!(kinds(&events), ["START", "COMPLETE"]);
    for (head, event) in &taken {
        assert!(head.starts_with("POST /api/v1/lineage HTTP/1.1\r\n"), "{head}");
        let head = head.to_lowercase();
        assert!(head.contains("\r\nauthorization: bearer secret\r\n"), "{head}");
        assert!(head.contains("\r\ncontent-type: application/json\r\n"), "{head}");
        assert_eq!(event["job"]["namespace"], "team");
    }
}

#[test]
fn a_server_that_takes_nothing_is_a_warning_with_the_reason() {
    let place = Place::new();
    let gone = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    // It accepts and never answers.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    place.file(
        "openlineage.yml",
        format!("transport:\n  type: http\n  url: http://{}\n  timeout: 0.5\n", silent.local_addr().unwrap()),
    );
    let (refusing, server) = server(&[401, 422]);
    let limit = Duration::from_secs(10);
    let gone = format!("http://{gone}");
    let cases = [
        (Some(gone.as_str()), "the lineage event START did not reach http://127.0.0.1"),
        (Some(refusing.as_str()), ": it answered 401 Unauthorized. why?"),
        (
            Some("https://localhost:1"),
            if cfg!(feature = "https") { "did not reach" } else { "build with `--features https`" },
        ),
        (Some("nowhere/events.jsonl"), "did not reach nowhere/events.jsonl: "),
        (None, "did not answer in time"),
    ];
    for (target, told) in cases {
        let start = Instant::now();
        let args = ["--limit", "5", "-o", "out.parquet"].into_iter();
        let args: Vec<&str> = args.chain(target.into_iter().flat_map(|target| ["--lineage", target])).collect();
        let output = featurize(&place, &args, &[]);
        let warned = text(&output.stderr);
        assert!(output.status.success() && place.path("out.parquet").exists(), "{warned}");
        assert!(warned.starts_with("warning: ") && warned.contains(told), "{told}: {warned}");
        assert!(start.elapsed() < limit, "{target:?} took {:?}", start.elapsed());
        fs::remove_file(place.path("out.parquet")).unwrap();
    }
    drop(server);
    let off = featurize(&place, &["--limit", "5", "-o", "out.parquet"], &[("OPENLINEAGE_DISABLED", "true")]);
    assert_eq!(text(&off.stderr), "");
    place.file("openlineage.yml", "transport: [");
    let output = featurize(&place, &["--limit", "5", "-o", "out.parquet"], &[]);
    assert!(
        output.status.success() && text(&output.stderr).contains("openlineage.yml: line "),
        "{}",
        text(&output.stderr)
    );
}

/// A run that has begun, and waits for rows that do not come.
fn waiting(place: &Place, events: &str) -> Child {
    let run = example("featurize")
        .args(["-", "-o", "out.parquet", "--lineage", events])
        .current_dir(place.path(""))
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    let start = Instant::now();
    while !fs::read_to_string(place.path(events)).is_ok_and(|text| text.ends_with('\n')) {
        assert!(start.elapsed() < Duration::from_secs(60), "no START");
        thread::sleep(Duration::from_millis(5));
    }
    run
}

#[test]
fn a_run_that_was_killed_is_told_by_its_events() {
    let place = Place::new();
    let mut killed = waiting(&place, "events.jsonl");
    killed.kill().unwrap();
    killed.wait().unwrap();
    done(&place, &["--limit", "5", "-o", "out.parquet", "--lineage", "events.jsonl"]);
    fs::write(
        place.path("events.jsonl"),
        fs::read_to_string(place.path("events.jsonl")).unwrap() + "{\"eventTime\": \"20",
    )
    .unwrap();
    let shown = inspected(&place, &["events.jsonl"]);
    assert!(shown.starts_with("events.jsonl: 2 runs, of which 1 never ended"), "{shown}");
    assert!(shown.contains("started and never ended: it was killed, or it is still running"), "{shown}");
    assert!(
        shown.contains("complete after ") && shown.contains("line 4 is cut off in the middle of an event"),
        "{shown}"
    );
}

#[cfg(unix)]
#[test]
fn a_run_that_is_told_to_stop_says_so() {
    let place = Place::new();
    let mut run = example("featurize")
        .args(["--epochs", "0..100000", "-o", "out.parquet", "--lineage", "events.jsonl"])
        .current_dir(place.path(""))
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let start = Instant::now();
    while !place.path("events.jsonl").exists() && start.elapsed() < Duration::from_secs(60) {
        thread::sleep(Duration::from_millis(5));
    }
    let told = std::process::Command::new("kill").args(["-TERM", &run.id().to_string()]).status().unwrap();
    assert!(told.success());
    assert_eq!(run.wait().unwrap().code(), Some(130));
    assert_eq!(kinds(&events(&place, "events.jsonl")), ["START", "ABORT"]);
    assert_eq!(place.files(), ["events.jsonl"], "nothing is left of the output");
}

#[test]
fn the_console_is_stderr_where_stdout_is_data() {
    let place = Place::new();
    for (output, is_stderr) in [("out.arrow", false), ("-", true)] {
        let output = featurize(&place, &["--limit", "5", "-q", "-o", output, "--lineage", "-"], &[]);
        let lines = text(if is_stderr { &output.stderr } else { &output.stdout });
        let events: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(kinds(&events), ["START", "COMPLETE"]);
    }
    let same = featurize(&place, &["--limit", "5", "-o", "out.arrow", "--lineage", "out.arrow"], &[]);
    assert!(same.status.code() == Some(2), "{}", text(&same.stderr));
}
