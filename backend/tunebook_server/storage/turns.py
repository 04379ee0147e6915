"""Whose turn it is when a worker has room: read from what is held now, never from what has ended."""

import json

from sqlalchemy import text

from tunebook_server.domain.worker import Worker
from tunebook_server.storage.engine import Connection

# Held trials are counted in the index of those alone: what has ended costs nothing, however much it is.
# A unit is a GPU, or a trial without one. The one that holds least for its weight is next; among equals the
# one that has waited longest for its weight, so that a single slot goes round in the same proportion.
_NEXT = text("""
    WITH
    held AS MATERIALIZED (
        SELECT now_held.study_id, studies.project_id, studies.last_claim_at, now_held.trials,
               now_held.trials * greatest(job_templates.gpus, 1) AS units
        FROM (SELECT study_id, count(*) AS trials FROM trials
              WHERE state IN ('claimed', 'running') GROUP BY study_id) AS now_held
        JOIN studies ON studies.id = now_held.study_id
        LEFT JOIN job_templates ON job_templates.id = studies.job_template_id
    ),
    projects_held AS (
        SELECT project_id, sum(trials) AS trials, sum(units) AS units FROM held GROUP BY project_id
    ),
    open AS (
        SELECT studies.id, studies.project_id, studies.priority, studies.weight, studies.last_claim_at,
               coalesce(held.units, 0) AS units
        FROM studies
        JOIN study_counts AS queued ON queued.study_id = studies.id AND queued.state = 'queued'
        JOIN job_templates AS needs ON needs.id = studies.job_template_id
        LEFT JOIN held ON held.study_id = studies.id
        WHERE studies.state = 'running' AND queued.trials > 0 AND coalesce(held.trials, 0) < studies.parallel
          AND coalesce(needs.gpus, least(:gpus_in_all, 1)) <= :gpus AND needs.cpus <= :cpus
          AND needs.labels <@ CAST(:labels AS jsonb)
    ),
    last AS (
        SELECT project_id, max(last_claim_at) AS last_claim_at
        FROM (SELECT project_id, last_claim_at FROM open UNION ALL SELECT project_id, last_claim_at FROM held)
             AS either
        GROUP BY project_id
    )
    SELECT open.id
    FROM open
    JOIN projects ON projects.id = open.project_id
    JOIN last ON last.project_id = open.project_id
    LEFT JOIN projects_held ON projects_held.project_id = open.project_id
    WHERE projects.parallel IS NULL OR coalesce(projects_held.trials, 0) < projects.parallel
    ORDER BY coalesce(projects_held.units, 0) / projects.weight,
             extract(epoch FROM now() - last.last_claim_at) * projects.weight DESC NULLS FIRST,
             open.project_id,
             open.priority DESC,
             open.units / open.weight,
             extract(epoch FROM now() - open.last_claim_at) * open.weight DESC NULLS FIRST,
             open.id
    LIMIT :limit
""")
_OF_PROJECT = text("""
    SELECT count(*) FROM trials JOIN studies ON studies.id = trials.study_id
    WHERE studies.project_id = :project AND trials.state IN ('claimed', 'running')
""")
_QUEUES = text("""
    SELECT DISTINCT needs.queue FROM studies JOIN job_templates AS needs ON needs.id = studies.job_template_id
    WHERE studies.state = 'running'
      AND coalesce(needs.gpus, 0) <= :gpus AND needs.cpus <= :cpus AND needs.labels <@ CAST(:labels AS jsonb)
    ORDER BY needs.queue LIMIT :limit
""")


def studies_next(connection: Connection, worker: Worker, *, gpus: int, cpus: int, limit: int) -> list[int]:
    """Running studies with a queued trial that fits the worker, of which `gpus` and `cpus` are free; the one
    whose turn it is first."""
    room = {"gpus": gpus, "cpus": cpus, "gpus_in_all": worker.gpus, "labels": _json(worker)}
    return list(connection.execute(_NEXT, {**room, "limit": limit}).scalars())


def held_by_project(connection: Connection, project_id: int) -> int:
    """Trials in progress in all its studies."""
    held: int = connection.execute(_OF_PROJECT, {"project": project_id}).scalar_one()
    return held


def queues(connection: Connection, worker: Worker, limit: int) -> list[str]:
    """Where hints for the jobs of running studies go that the worker could run if all of it were free."""
    room = {"gpus": worker.gpus, "cpus": worker.cpus, "labels": _json(worker)}
    return list(connection.execute(_QUEUES, {**room, "limit": limit}).scalars())


def _json(worker: Worker) -> str:
    return json.dumps(dict(worker.labels))
