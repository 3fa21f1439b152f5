"""`python -m tests.mutations [NAME ...]`: breaks promises one by one, and checks that a test fails.

Each mutation is a small change of one file in a scratch copy of this checkout. The test beside it must
pass without the change and fail with it; the exit code is 1 if any does not.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
_FAILED = 1  # pytest's exit code when tests ran and some failed


@dataclass(frozen=True)
class Mutation:
    """In `file`, `before` (which must occur once) becomes `after`; then `test` must fail."""

    name: str
    file: str
    before: str
    after: str
    test: str


MUTATIONS = (
    Mutation(
        "pids not compared",
        "maskwatch/sandbox/seccomp.py",
        "    itself = Argument(0, (0, own))\n",
        "    itself = Argument(0, (0,), 0)\n",
        "tests/sandbox/test_seccomp.py::test_a_process_id_is_ones_own_or_none",
    ),
    Mutation(
        "UDP for every camera",
        "maskwatch/sandbox/seccomp.py",
        "    kinds += [udp] if network.udp or network.names else []\n",
        "    kinds += [udp]\n",
        "tests/sandbox/test_seccomp.py::test_sockets_are_made_by_domain_type_and_protocol",
    ),
    Mutation(
        "the broker connects to any address",
        "maskwatch/supervisor/network_broker.py",
        "        if not self._peers.include(peer.host, peer.port):\n            self._refuse_address",
        "        if False:\n            self._refuse_address",
        "tests/supervisor/test_network_broker.py::test_no_other_address_or_socket_is_reached",
    ),
    Mutation(
        "one camera lowered for all",
        "maskwatch/supervisor/fair_rates.py",
        "        self.lowered |= concerned\n",
        "        self.lowered |= {max(concerned)}\n",
        "tests/supervisor/test_fair_rates.py"
        "::test_all_cameras_are_lowered_by_one_factor_until_the_machine_keeps_up",
    ),
    Mutation(
        "rates never restored",
        "maskwatch/supervisor/fair_rates.py",
        "            if all(each.share >= _SOUND_FROM for each in own):\n",
        "            if False:\n",
        "tests/supervisor/test_fair_rates.py::test_rates_are_restored_when_there_is_room",
    ),
    Mutation(
        "marking before PUBACK",
        "maskwatch/alerts/mqtt/session.py",
        "        self._without_outcome.add(delivery.id)\n",
        "        self._report(DeliveryOutcome(delivery.id, DeliveryStatus.ACCEPTED))\n",
        "tests/alerts/mqtt/test_connection_faults.py"
        "::test_a_delivery_without_an_acknowledgement_fails_and_reconnects",
    ),
    Mutation(
        "synchronous=OFF",
        "maskwatch/store/engine.py",
        "PRAGMA synchronous = FULL",
        "PRAGMA synchronous = OFF",
        "tests/faults/test_store_durability.py"
        "::test_picture_directory_and_wal_are_synced_before_the_acknowledgement",
    ),
    Mutation(
        "acknowledging before commit",
        "maskwatch/recorder/intake.py",
        "        try:\n            self._store_batch(store)\n",
        "        for item in self._items:\n            item.acknowledge(True)\n"
        "        try:\n            self._store_batch(store)\n",
        "tests/faults/test_store_durability.py"
        "::test_picture_directory_and_wal_are_synced_before_the_acknowledgement",
    ),
    Mutation(
        "the picture's folder not synced",
        "maskwatch/store/pictures.py",
        "    fsync_directory(day)\n    return",
        "    return",
        "tests/faults/test_store_durability.py"
        "::test_picture_directory_and_wal_are_synced_before_the_acknowledgement",
    ),
    Mutation(
        "nested JSON let through",
        "maskwatch/decoding.py",
        "    except RecursionError:\n",
        "    except KeyError:\n",
        "tests/test_decoding.py::test_too_deep_nesting_is_named_as_such",
    ),
    Mutation(
        "no deadline of a message",
        "maskwatch/alerts/notify/isolated.py",
        "communicate(job, self._deadline)",
        "communicate(job, None)",
        "tests/alerts/notify/test_isolated.py"
        "::test_a_webhook_that_drips_its_answer_ends_at_the_deadline",
    ),
    Mutation(
        "slow clients kept",
        "maskwatch/telemetry/http.py",
        "            self.drop_oldest()\n        task = ",
        "            client.close()\n            return\n        task = ",
        "tests/telemetry/test_http.py::test_dripping_clients_do_not_delay_others",
    ),
    Mutation(
        "the data directory's name not synced",
        "maskwatch/store/data_dir.py",
        "            fsync_ancestors(self.path)\n",
        "",
        "tests/store/test_power_loss.py::test_what_is_recorded_outlives_a_power_loss",
    ),
    Mutation(
        "what a killed recorder left not synced",
        "maskwatch/store/store.py",
        "    _sync(data_dir)\n    data_dir.needs_check",
        "    data_dir.needs_check",
        "tests/store/test_power_loss.py"
        "::test_what_a_killed_recorder_left_is_synced_before_it_is_acknowledged",
    ),
    Mutation(
        "a restored database beside an old -wal",
        "maskwatch/store/replacement.py",
        "    repaired.kept = move_aside(data_dir.database, now, reason)\n",
        "    if data_dir.database.exists():\n"
        "        repaired.kept = move_aside(data_dir.database, now, reason)\n",
        "tests/store/test_power_loss.py"
        "::test_the_wal_of_a_removed_database_is_not_applied_to_a_restored_one",
    ),
    Mutation(
        "any proof accepted",
        "maskwatch/supervisor/control_server.py",
        "if not await self._has_proof(",
        "if await self._has_proof(",
        "tests/supervisor/test_control_server.py::test_a_request_without_the_right_proof_runs_nothing",
    ),
    Mutation(
        "Basic in clear",
        "maskwatch/capture/rtsp_client.py",
        "        allowed = self.tls or self._access.auth is CameraAuth.ANY\n",
        "        allowed = True\n",
        "tests/capture/test_rtsp_login.py::test_basic_without_tls_is_refused_and_no_password_is_sent",
    ),
    Mutation(
        "forged lines passed on",
        "maskwatch/supervisor/log_relay.py",
        '        if logs.is_line_of(text, "worker", self._camera):\n',
        "        if text:\n",
        "tests/supervisor/test_log_relay.py::test_lines_pass_unchanged_and_forged_ones_are_attributed",
    ),
    Mutation(
        "no process namespace",
        "maskwatch/sandbox/namespaces.py",
        "    if number is None or not _unshare():\n",
        "    if number is None or _OUTSIDE == 0:\n",
        "tests/supervisor/test_network_broker.py::test_the_worker_is_process_one_of_its_namespace",
    ),
    Mutation(
        "the zygote's socket kept",
        "maskwatch/worker/zygote.py",
        "        forked = _fork_on_request(supervisor)\n",
        "        forked = _fork_on_request(supervisor)\n        os.dup(options.fd)\n",
        "tests/supervisor/test_zygote.py::test_a_forked_worker_is_as_one_that_was_started",
    ),
    Mutation(
        "workers of root stay root",
        "maskwatch/sandbox/privileges.py",
        "    user = _become_unused_user()\n",
        "    user = 0\n",
        "tests/sandbox/test_attacks.py::test_a_worker_has_its_own_namespaces_and_user_and_no_capability",
    ),
    Mutation(
        "a redirect to any host",
        "maskwatch/capture/rtsp_client.py",
        "    if one.lower() == other.lower():\n",
        "    if one:\n",
        "tests/capture/test_rtsp_login.py::test_a_redirect_elsewhere_is_refused_in_words",
    ),
    Mutation(
        "pictures of any size",
        "maskwatch/capture/container.py",
        "    if width * height <= max_pixels:\n",
        "    if max_pixels:\n",
        "tests/capture/test_hostile_camera.py::test_a_picture_of_more_than_8k_is_refused_before_it_costs_memory",
    ),
    Mutation(
        "an altered alert sent",
        "maskwatch/store/outbox.py",
        "            require_sound(session, ChangeRow.id, [row.change_id for row, _ in rows])\n",
        "",
        "tests/store/test_flipped_bits.py::test_an_alert_whose_row_was_altered_is_not_sent",
    ),
    Mutation(
        "an altered row copied",
        "maskwatch/store/recovery.py",
        "        if not _is_sound(columns, row):\n",
        "        if not columns:\n",
        "tests/store/test_flipped_bits.py::test_a_repair_leaves_out_a_row_with_a_flipped_bit",
    ),
    Mutation(
        "an altered picture sent",
        "maskwatch/store/scrub.py",
        "        if stored is None or self._is_damaged(stored):\n",
        "        if stored is None:\n",
        "tests/store/test_flipped_bits.py::test_a_damaged_picture_is_reported_once_and_never_sent",
    ),
    Mutation(
        "frames after a damaged one dropped",
        "maskwatch/store/integrity.py",
        "    wal_damage = find_wal_damage(path)\n",
        '    wal_damage = ""\n',
        "tests/store/test_flipped_bits.py::test_any_flipped_bit_of_the_wal_is_found_and_loses_no_transaction",
    ),
    Mutation(
        "a webhook waited for",
        "maskwatch/alerts/notify/sink.py",
        "        self._pending.append(delivery)\n        self._wakeup.set()\n",
        "        self._pending.append(delivery)\n        self._send_pending()\n",
        "tests/faults/test_troubled_sinks.py::test_a_webhook_that_hangs_or_refuses_delays_no_other_sink",
    ),
    Mutation(
        "refusals taken for acceptances",
        "maskwatch/alerts/mqtt/session.py",
        "DeliveryStatus.ACCEPTED if not refusal else",
        "DeliveryStatus.ACCEPTED if refusal is not None else",
        "tests/faults/test_refused_alerts.py"
        "::test_a_refused_visit_is_parked_whole_and_shown_and_others_go_on",
    ),
    Mutation(
        "canary not waited for",
        "maskwatch/alerts/mqtt/canary.py",
        "        while not (acknowledged and received):\n",
        "        while not acknowledged:\n",
        "tests/faults/test_troubled_sinks.py"
        "::test_no_alert_counts_as_delivered_while_an_acl_drops_what_it_acknowledges",
    ),
    Mutation(
        "commands not subscribed again",
        "maskwatch/alerts/mqtt/sink.py",
        "session.begin(state.subscriptions)",
        "session.begin(() if self._last_error else state.subscriptions)",
        "tests/faults/test_long_absence.py"
        "::test_a_broker_away_for_a_day_receives_all_alerts_in_order_and_the_state",
    ),
    Mutation(
        "a backlog let loose",
        "maskwatch/recorder/delivery.py",
        "min(self.sink.window - len(self._in_flight), int(self._bucket.available(now)))",
        "self.sink.window - len(self._in_flight)",
        "tests/faults/test_long_absence.py::test_a_backlog_is_delivered_no_faster_than_the_rate_limit",
    ),
    Mutation(
        "quarantines of one length",
        "maskwatch/supervisor/restart_policy.py",
        "self._quarantine.wait(self._quarantines, self._rng)",
        "self._quarantine.wait(1, self._rng)",
        "tests/faults/test_processes.py"
        "::test_a_crash_loop_is_quarantined_ever_longer_and_disturbs_no_other_child",
    ),
    Mutation(
        "retention in one go",
        "maskwatch/recorder/maintenance.py",
        "_MAX_SLICE_TIME = 0.05",
        "_MAX_SLICE_TIME = 1e9",
        "tests/faults/test_retention_live.py"
        "::test_a_long_retention_pass_goes_in_order_while_alerts_are_recorded",
    ),
    Mutation(
        "a repetition refused",
        "maskwatch/store/record.py",
        "return RecordResult.REPEATED if same else RecordResult.CONFLICT",
        "return RecordResult.REFUSED",
        "tests/faults/test_store_durability.py"
        "::test_a_kill_inside_record_loses_nothing_and_doubles_nothing",
    ),
    Mutation(
        "every failure a strike",
        "maskwatch/recorder/retries.py",
        "        if not others_pass:\n",
        "        if False:\n",
        "tests/recorder/test_delivery.py::test_while_everything_fails_nothing_is_parked",
    ),
    Mutation(
        "a wait that ends with its process",
        "maskwatch/recorder/acknowledgement_wait.py",
        "        age = (self._clock.now() - subject.at).total_seconds()\n",
        "        age = 0.0\n",
        "tests/recorder/test_delivery.py::test_a_kill_at_any_time_loses_and_doubles_no_waiting_violation",
    ),
    Mutation(
        "parked alerts left behind",
        "maskwatch/store/parked.py",
        "row.state, row.finished_at, row.created_at = OutboxState.PENDING.value, None, now",
        "row.finished_at, row.created_at = None, now",
        "tests/faults/test_parked_alerts.py"
        "::test_parked_alerts_are_delivered_in_order_once_they_are_retried",
    ),
    Mutation(
        "numbers out of order",
        "maskwatch/recorder/delivery.py",
        "        blocked = self._blocked(choice, now)\n",
        "        blocked = set[UUID]()\n",
        "tests/recorder/test_delivery.py"
        "::test_a_sink_accepts_the_changes_of_a_violation_in_rising_order",
    ),
    Mutation(
        "durations by the wall clock",
        "maskwatch/clock.py",
        "        return time.monotonic()\n",
        "        return time.time()\n",
        "tests/faults/test_clock_jumps.py"
        "::test_a_clock_jump_of_hours_disturbs_neither_frames_nor_processes",
    ),
    Mutation(
        "memory stored in one go",
        "maskwatch/recorder/intake.py",
        "        unstored = self._unstored.entries()[:_BATCH]\n",
        "        unstored = self._unstored.entries()\n",
        "tests/recorder/test_intake.py::test_unstored_changes_are_stored_in_batches_before_later_ones",
    ),
    Mutation(
        "a lost file not noticed",
        "maskwatch/store/database.py",
        "                self._identity.check()\n",
        "                pass\n",
        "tests/faults/test_recorder_trouble.py"
        "::test_a_removed_or_replaced_database_is_restored_before_any_acknowledgement",
    ),
    Mutation(
        "any file swept",
        "maskwatch/store/pictures.py",
        "if _NAME.fullmatch(entry.name) and entry",
        "if entry",
        "tests/faults/test_retention_live.py"
        "::test_only_files_named_like_pictures_are_swept_and_only_after_an_hour",
    ),
    Mutation(
        "no parent-death signal",
        "maskwatch/ipc/parent_death.py",
        "libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) != 0",
        "libc is None",
        "tests/faults/test_processes.py::test_kill_9_of_the_supervisor_ends_even_children_that_hang",
    ),
    Mutation(
        "no parent-death signal at the start",
        "maskwatch/supervisor/process.py",
        "preexec_fn=prepare,",
        "preexec_fn=None,",
        "tests/faults/test_start.py::test_a_child_that_is_still_starting_dies_with_its_supervisor",
    ),
    Mutation(
        "the watchdog fed by the loop alone",
        "maskwatch/supervisor/main.py",
        "if await self._liveness.check():",
        "if await self._liveness.check() or True:",
        "tests/faults/test_start.py::test_the_watchdog_is_not_fed_while_no_descriptor_can_be_opened",
    ),
    Mutation(
        "a port in use ends the daemon",
        "maskwatch/temporary.py",
        "    errno.EADDRINUSE, errno",
        "    errno",
        "tests/faults/test_start.py::test_a_port_in_use_is_waited_for_while_cameras_are_watched",
    ),
    Mutation(
        "coasting tracks vote",
        "maskwatch/analysis/pipeline.py",
        "        sightings = [self._sight(track, frame)",
        "        self._last = getattr(self, '_last', {})\n"
        "        for track in self._tracker.tracks:\n"
        "            track.detection = track.detection or self._last[track.number]\n"
        "            self._last[track.number] = track.detection\n"
        "        sightings = [self._sight(track, frame)",
        "tests/analysis/test_pipeline.py::test_only_a_frame_with_a_matched_detection_is_read",
    ),
    Mutation(
        "UNKNOWN votes",
        "maskwatch/analysis/readings.py",
        "        if gate is not None:\n            visit.gates[gate] += 1\n",
        "        if gate is not None and False:\n            visit.gates[gate] += 1\n",
        "tests/analysis/test_pipeline.py::test_a_face_that_fails_the_quality_gate_is_not_read",
    ),
    Mutation(
        "evidence not clipped",
        "maskwatch/analysis/evidence.py",
        "return min(max(observed - expected, -CLIP), CLIP)",
        "return observed - expected",
        "tests/analysis/test_evidence.py::test_a_single_reading_decides_nothing_however_confident_the_model_is",
    ),
    Mutation(
        "blur removed",
        "maskwatch/privacy/anonymize.py",
        "    np.copyto(out[pixels], mosaic(source[pixels], cell), where=where)\n",
        "    np.copyto(out[pixels], source[pixels], where=where)\n",
        "tests/privacy/test_anonymize.py"
        "::test_the_output_depends_only_on_the_means_of_the_covered_cells",
    ),
    Mutation(
        "missed faces shown",
        "maskwatch/analysis/pipeline.py",
        "        if self._search.complete:\n",
        "        if self._search.complete or frame:\n",
        "tests/analysis/test_pipeline.py"
        "::test_a_face_that_no_look_covered_is_coarse_in_a_violations_picture",
    ),
    Mutation(
        "places never looked at",
        "maskwatch/vision/attention.py",
        "turns, frame.size) + turns.due(changes)\n",
        "turns, frame.size)\n",
        "tests/vision/test_attention.py::test_no_place_waits_longer_than_the_bound_for_a_look",
    ),
    Mutation(
        "gate stuck shut",
        "maskwatch/vision/motion.py",
        "        if not (awake or due):\n",
        "        if not awake and self._analysed is not None:\n",
        "tests/vision/test_motion.py::test_a_person_who_enters_is_analysed_in_that_very_frame",
    ),
)


def _scratch_copy(folder: Path) -> Path:
    """Copy what git knows of, and lay beside it what tests look for beside a checkout."""
    copy = folder / "checkout"
    listing = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listing, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    for name in filter(None, names.split("\0")):
        if (ROOT / name).is_file():
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, copy / name)
    return copy


def _run(test: str, checkout: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pytest", "-n0", "-q", "-x", "-p", "no:cacheprovider", test]
    env = {**os.environ, "PYTHONPATH": str(checkout), "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(
        command, cwd=checkout, env=env, capture_output=True, text=True, timeout=600, check=False
    )


def _apply(mutation: Mutation, checkout: Path) -> str:
    """Change the file; return what stood in it."""
    path = checkout / mutation.file
    text = path.read_text(encoding="utf-8")
    assert text.count(mutation.before) == 1, f"{mutation.file} no longer has {mutation.before!r} once"
    path.write_text(text.replace(mutation.before, mutation.after), encoding="utf-8")
    return text


def noticed(mutation: Mutation, checkout: Path) -> str:
    """Return "" if the mutation's test passes without it and fails with it, else what happened."""
    sound = _run(mutation.test, checkout)
    if sound.returncode != 0:
        return "the test does not pass without it\n" + sound.stdout[-2000:]
    text = _apply(mutation, checkout)
    broken = _run(mutation.test, checkout)
    (checkout / mutation.file).write_text(text, encoding="utf-8")
    if broken.returncode != _FAILED:
        return f"the test did not fail (exit code {broken.returncode})\n" + broken.stdout[-2000:]
    return ""


def main(arguments: list[str]) -> int:
    """Try the mutations of these names, or all; return the exit code."""
    parser = argparse.ArgumentParser(prog="tests.mutations", description="Do tests notice?")
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help="only these: one that there is not is an error"
    )
    names, unnoticed = parser.parse_args(arguments).names, 0
    if unknown := set(names) - {mutation.name for mutation in MUTATIONS}:
        known = ", ".join(repr(mutation.name) for mutation in MUTATIONS)
        parser.error(f"no mutation {min(unknown)!r}; there are {known}")
    with tempfile.TemporaryDirectory(prefix="maskwatch-mutations-") as folder:
        checkout = _scratch_copy(Path(folder))
        for mutation in MUTATIONS:
            if names and mutation.name not in names:
                continue
            fault = noticed(mutation, checkout)
            unnoticed += bool(fault)
            print(
                f"{'NOT ' if fault else ''}noticed  {mutation.name}: {mutation.test} {fault}", flush=True
            )
    return 1 if unnoticed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
