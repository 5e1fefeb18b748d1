FROM python:3.12-slim

RUN useradd --create-home --uid 1000 coelostat \
    && mkdir -p /srv/coelostat /var/lib/coelostat \
    && chown coelostat /var/lib/coelostat
WORKDIR /srv/coelostat

COPY requirements.txt .
RUN pip install --no-cache-dir -r requirements.txt "psycopg[binary]~=3.3"
COPY reduction reduction
COPY app app
COPY scripts scripts
COPY instance/config.example.toml instance/
RUN python -m compileall -q app reduction scripts

USER coelostat
ENV COELOSTAT_INSTANCE=/var/lib/coelostat \
    COELOSTAT_BIND=0.0.0.0:8000 \
    PYTHONDONTWRITEBYTECODE=1
VOLUME /var/lib/coelostat
EXPOSE 8000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=15s --timeout=5s --start-period=120s \
    CMD python -c "import urllib.request as u; u.urlopen('http://127.0.0.1:8000/healthz', timeout=4)"
ENTRYPOINT ["scripts/entrypoint.sh"]
