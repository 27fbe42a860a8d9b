"""Jobs on a real store and API: how they succeed, fail, wait and go."""

from engine.types.batch import Job, JobSpec
from engine.types.containers import Container
from engine.types.meta import ObjectMeta
from engine.types.pods import PodSpec, PodTemplateSpec

KEY = "default/work"


def work(outcome: str = "Succeeded", **fields) -> Job:
    return Job(
        metadata=ObjectMeta(name="work", namespace="default"),
        spec=JobSpec(
            template=PodTemplateSpec(
                metadata=ObjectMeta(annotations={"test/outcome": outcome}),
                spec=PodSpec(
                    containers=[Container(name="c", image="work:1")], restart_policy="Never"
                ),
            ),
            **fields,
        ),
    )


def status(world, type_: str) -> str:
    job = world.get(Job, KEY)
    found = [c for c in job.status.conditions if c.type == type_] if job else []
    return found[0].reason if found and found[0].status == "True" else ""


async def test_a_job_completes(world) -> None:
    await world.node("node-1")
    await world.create(work(completions=5, parallelism=2))
    await world.until(lambda: status(world, "Complete"))
    job = world.get(Job, KEY)
    assert job.status.succeeded == 5
    assert (job.status.active, job.status.failed) == (0, 0)
    assert job.status.start_time
    assert job.status.completion_time
    assert len(world.pods()) == 5
    await world.until(lambda: world.events("Completed") == ["Job completed"])


async def test_a_failing_job_backs_off_and_gives_up(world) -> None:
    await world.node("node-1")
    await world.create(work("Failed", backoff_limit=2))
    await world.until(lambda: world.get(Job, KEY) and world.get(Job, KEY).status.failed == 1)
    await world.until(lambda: world.get(Job, KEY).status.active == 0)
    assert len(world.pods()) == 1
    world.advance(11)
    await world.until(lambda: world.get(Job, KEY).status.failed == 2)
    world.advance(11)
    assert len(world.pods()) == 2
    world.advance(10)
    await world.until(lambda: status(world, "Failed") == "BackoffLimitExceeded")
    assert len(world.pods()) == 3
    assert world.get(Job, KEY).status.completion_time is None


async def test_a_job_past_its_deadline_fails_and_stops(world) -> None:
    await world.node("node-1")
    await world.create(work("Running", active_deadline_seconds=30, parallelism=2))
    await world.until(
        lambda: world.get(Job, KEY) and world.get(Job, KEY).status.ready == 2 == len(world.pods())
    )
    world.advance(31)
    await world.until(lambda: status(world, "Failed") == "DeadlineExceeded")
    await world.until(lambda: not world.pods())


async def test_a_suspended_job_has_no_pods_until_it_is_resumed(world) -> None:
    await world.node("node-1")
    await world.create(work("Running", suspend=True))
    await world.until(lambda: status(world, "Suspended") == "JobSuspended")
    assert not world.pods()
    await world.client.patch(Job, "work", "default", {"spec": {"suspend": False}})
    await world.until(lambda: world.get(Job, KEY).status.ready == 1)
    await world.client.patch(Job, "work", "default", {"spec": {"suspend": True}})
    await world.until(lambda: not world.pods())
    assert world.get(Job, KEY).status.failed == 0


async def test_an_ended_job_is_removed_with_its_pods(world) -> None:
    await world.node("node-1")
    await world.create(work(ttl_seconds_after_finished=100))
    await world.until(lambda: status(world, "Complete"))
    world.advance(50)
    assert world.get(Job, KEY)
    world.advance(51)
    await world.until(lambda: not world.get(Job, KEY) and not world.pods())


async def test_indexed_pods_know_their_index(world) -> None:
    await world.node("node-1")
    await world.create(work(completions=4, parallelism=4, completion_mode="Indexed"))
    await world.until(lambda: status(world, "Complete"))
    assert world.get(Job, KEY).status.completed_indexes == "0-3"
    indexes = sorted(
        p.metadata.annotations["batch.kubernetes.io/job-completion-index"] for p in world.pods()
    )
    assert indexes == ["0", "1", "2", "3"]
    names = {e.name for p in world.pods() for e in p.spec.containers[0].env}
    assert names == {"JOB_COMPLETION_INDEX"}


async def test_a_queue_of_work_ends_with_its_first_success(world) -> None:
    await world.node("node-1")
    await world.create(work(parallelism=3))
    await world.until(lambda: status(world, "Complete"))
    assert 1 <= world.get(Job, KEY).status.succeeded <= 3
