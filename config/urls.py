"""The pages at the root, the admin beside them."""

from django.contrib import admin
from django.urls import include, path

urlpatterns = [
    path("admin/", admin.site.urls),
    path("", include("pilots.urls")),
]

handler400 = "pilots.views.errors.bad_request"
handler403 = "pilots.views.errors.forbidden"
handler404 = "pilots.views.errors.not_found"
handler500 = "pilots.views.errors.server_error"
