"""The names of the pilots, and the workload that each one moves."""

from pilots.exporters.base import Column, Cover, Document, Sheet


class PilotNames:
    key, version, label = "pilot_names", "1", "Pilot names"

    def build(self, request):
        pilots = request.filters.apply(request.pilots).order_by("slug")
        rows = [(pilot.slug, pilot.workload.name) for pilot in pilots.select_related("workload")]
        cover = Cover("Pilot names", request.filters.as_of, request.who, request.audience)
        sheet = Sheet("pilots", "Pilots", [Column("pilot", "Pilot"), Column("workload", "Workload")], rows)
        return Document(cover, [sheet], "pilot-names")
